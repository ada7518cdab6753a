"""A run's directory: is it new or to be resumed, and would resuming change what the run means.

RUN/config.yaml      resolved, as last started
RUN/metrics.jsonl    see `metrics`
RUN/report.html      the same drawn, as of the latest checkpoint
RUN/tensorboard/     event files
RUN/checkpoints/     see `biomatrix_jax.checkpoint`; hf/ holds the tokenizer's files
RUN/changes.jsonl    what was changed on purpose in the midst of the run, if anything
RUN/lock             see `lock`

Each step in `checkpoints/` says how it was made: `made` below, its number, the sizes of its batches
(`data.batch_sizes`; with the number that is all the state a loader has), and all such changes up to
it. A resumed run is compared with the step that it goes on from.
"""

import contextlib
import dataclasses
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from biomatrix_jax import lock, provenance
from biomatrix_jax.checkpoint import CheckpointStore, Damaged, check_place, newest_whole
from biomatrix_jax.config import RunConfig, dump, from_dict, load, within
from biomatrix_jax.data.batch_sizes import BatchSizes
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.tokens import Vocabulary
from biomatrix_jax.tokens.tokenizer_files import GENERATION_CONFIG

CONFIG = "config.yaml"
CHECKPOINTS = "checkpoints"
CHANGES = "changes.jsonl"

# What may change between a run and its continuation: where things lie and how they are computed,
# not what is computed. (Rounding may differ; the data, their order and the schedule do not.)
FREE = {
    "mesh",
    "rules",
    "compute.attention",
    "compute.remat",
    "compute.loss_chunk",
    "compute.loss_vocab_tile",
    "data.path",  # what lies there must be the same: the manifest's checksum says
    "guard.patience",
    "train.accumulate",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.keep_every",
    "train.tensorboard",
}
# What decides which arrays a state has: no saved state can go on after such a change.
SHAPING = {
    "model",
    "compute.param_dtype",
    "optimizer.name",
    "optimizer.master_copy",
    "optimizer.frozen",
}
FULL = {errno.ENOSPC, errno.EDQUOT}
DISK = FULL | {errno.EFBIG, errno.EIO, errno.EROFS}


@dataclass(frozen=True)
class Past:
    """What a directory holds of a run.

    Attributes:
      done: updates up to the latest checkpoint.
      config: what that was made with; of a run without a checkpoint, what it was started with.
      made: what that checkpoint says of how it was made, see `made`.
    """

    store: CheckpointStore | None = None
    done: int = 0
    config: RunConfig | None = None
    made: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def batches(self) -> BatchSizes:
        """Of the steps up to that checkpoint."""
        if not self.done:
            return BatchSizes(())
        return BatchSizes.of(self.made.get("batches", [(0, self.config.data.batch_rows)]))


def check_directory(out: Path) -> bool:
    """Whether `out` holds a run.

    Raises:
      BadInput: it holds something else, or no checkpoint can lie there.
    """
    check_place(out / CHECKPOINTS)
    if not out.exists() or (out.is_dir() and all(map(_is_passing, out.iterdir()))):
        return False
    if not (out / CONFIG).is_file():
        raise BadInput(f"{out} exists and is not a run (it has no {CONFIG}): choose another place")
    return True


def find(out: Path, keep: int, keep_every: int) -> Past:
    """What `out` holds; an empty `Past` where there is no run.

    Raises:
      BadInput: as `check_directory`; the latest checkpoint is damaged.
    """
    if not check_directory(out):
        return Past()
    if not (out / CHECKPOINTS / "model.json").is_file():
        return Past(config=load(out / CONFIG))
    store = CheckpointStore.open(out / CHECKPOINTS, keep=keep, keep_every=keep_every)
    done = store.latest()
    if done is None:
        return Past(store, config=load(out / CONFIG))
    with naming_last_good(store, done):
        made = store.restore_data(done)
    config = from_dict(RunConfig, made["config"], f"{store.directory / str(done)}")
    return Past(store, done, config, made)


def changes(past: Past, config: RunConfig, manifest: str, out: Path, allowed: bool) -> list[str]:
    """What going on with `config` and the data of `manifest`, a checksum, changes in the run.

    Raises:
      BadInput: something, and it is not `allowed` or cannot be.
    """
    if past.config is None:
        return []
    changed = differences(past.config, config)
    if past.made.get("manifest_sha256", manifest) != manifest:
        changed["data"] = "the manifest of the data was another, so the same steps see other rows"
    if not changed:
        return []
    listed = "; ".join(changed.values())
    if not allowed:
        raise BadInput(
            f"{out} holds a run of another configuration or of other data: {listed}. Choose "
            "another place, undo the changes to resume, or resume with them: --allow-changes"
        )
    if never := [said for key, said in changed.items() if _shapes(key, past.config, config)]:
        raise BadInput(
            f"{out}: what was saved cannot go on with this, allowed or not: {'; '.join(never)}. "
            f"Start a new run from its weights: train.init_from={out}"
        )
    return list(changed.values())


def differences(before: RunConfig, now: RunConfig) -> dict[str, str]:
    """Where two configurations mean different runs: by key, "optimizer.b1 was 0.9, is 0.95"."""
    old, new = _flat(before), _flat(now)
    return {
        key: f"{key} was {old[key]!r}, is {new[key]!r}"
        for key in new
        if old[key] != new[key] and not within(key, FREE)
    }


def made(config: RunConfig, manifest: str) -> dict[str, Any]:
    """How a state is made, as plain data: by what configuration, from which data, by which code."""
    return {
        "by": "training",
        "config": dataclasses.asdict(config),
        "manifest_sha256": manifest,
        "code": provenance.code(),
        "versions": provenance.versions(),
        "devices": f"{jax.device_count()} {jax.devices()[0].device_kind}",
        "processes": jax.process_count(),
    }


def create_store(
    out: Path, config: RunConfig, vocabulary: Vocabulary, made: dict[str, Any]
) -> CheckpointStore:
    """Checkpoints for a new run, carrying the tokenizer that its data were made with."""
    with tempfile.TemporaryDirectory() as folder:
        vocabulary.save(folder)
        generation = Path(folder) / GENERATION_CONFIG
        if not generation.exists():  # so that what is exported knows where a document ends
            ends = {"eos_token_id": vocabulary.eos_id, "pad_token_id": vocabulary.pad_id}
            generation.write_text(json.dumps(ends, indent=2) + "\n")
        return CheckpointStore.create(
            out / CHECKPOINTS,
            config.model,
            carried=folder,
            made=made,
            keep=config.train.keep_checkpoints,
            keep_every=config.train.keep_every,
        )


def write_config(out: Path, config: RunConfig) -> None:
    with atomic_file(out / CONFIG, "w") as file:
        file.write(dump(config))


def note_change(out: Path, change: dict[str, Any]) -> None:
    with open(out / CHANGES, "a", encoding="utf-8") as file:
        file.write(json.dumps(change) + "\n")


@contextlib.contextmanager
def naming_last_good(store: CheckpointStore, step: int) -> Iterator[None]:
    """Adds to an error about a damaged step how the run can go on without it."""
    try:
        yield
    except Damaged as error:
        good = newest_whole(store.directory, below=step)
        if good is None:
            raise BadInput(f"{error}. No other checkpoint in {store.directory} is whole") from None
        spoilt = [str(store.directory / str(s)) for s in store.steps() if s > good]
        raise BadInput(
            f"{error}. Step {good} is the last good checkpoint: to resume from it, remove "
            + " and ".join(spoilt)
        ) from None


@contextlib.contextmanager
def naming_what_is_saved(out: Path) -> Iterator[None]:
    """Turns a disk that takes no more into a line that says what is safe."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK:
            raise
        directory = out / CHECKPOINTS
        remedy = "make room" if error.errno in FULL else "see to the disk"
        good = newest_whole(directory) if directory.is_dir() else None
        raise BadInput(
            f"{error.filename or out}: {os.strerror(error.errno)}: the run stops; {last(good)} in "
            f"{directory}: {remedy}, then start again to resume"
        ) from error


def last(good: int | None) -> str:
    return (
        "it has no checkpoint yet" if good is None else f"step {good} is its last good checkpoint"
    )


def _is_passing(path: Path) -> bool:
    """Whether it is what a process leaves that was killed before it wrote a configuration."""
    return path.name == lock.FILE or path.name.startswith(f".{CONFIG}.incomplete-")


def _shapes(key: str, before: RunConfig, now: RunConfig) -> bool:
    if key == "optimizer.ema_decay":  # how much is kept may change, not whether there is one
        return 0 in (before.optimizer.ema_decay, now.optimizer.ema_decay)
    return within(key, SHAPING)


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not dataclasses.is_dataclass(config):
        return {prefix: config}
    flat = {}
    for field in dataclasses.fields(config):
        name = f"{prefix}.{field.name}" if prefix else field.name
        flat |= _flat(getattr(config, field.name), name)
    return flat
