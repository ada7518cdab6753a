"""A run's directory: is it new or to be resumed, and would resuming change what the run means.

RUN/config.yaml      resolved
RUN/metrics.jsonl    see `metrics`
RUN/report.html      the same drawn, as of the latest checkpoint
RUN/tensorboard/     event files
RUN/checkpoints/     see `biomatrix_jax.checkpoint`; hf/ holds the tokenizer's files
"""

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from biomatrix_jax.checkpoint import CheckpointStore, check_place
from biomatrix_jax.config import RunConfig, dump, load
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.tokens import Vocabulary
from biomatrix_jax.tokens.tokenizer_files import GENERATION_CONFIG

CONFIG = "config.yaml"
CHECKPOINTS = "checkpoints"

# What may change between a run and its continuation: where things lie and how they are computed,
# not what is computed. (Rounding may differ; the data, their order and the schedule do not.)
FREE = (
    "mesh",
    "rules",
    "compute.remat",
    "compute.loss_chunk",
    "data.path",  # what lies there must be the same: the manifest's checksum says
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.tensorboard",
)


def find_store(out: Path, config: RunConfig) -> CheckpointStore | None:
    """The checkpoints of the run in `out`; None where there is no run, or it saved none yet.

    Raises:
      BadInput: `out` holds something else, or a run of another meaning; lists the differences. Or
        no checkpoint can lie there.
    """
    check_place(out / CHECKPOINTS)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / CONFIG).is_file():
        raise BadInput(f"{out} exists and is not a run (it has no {CONFIG}): choose another place")
    changed = differences(load(out / CONFIG), config)
    if changed:
        raise BadInput(
            f"{out} holds a run of another configuration: {'; '.join(changed)}. Choose another "
            "place, or undo the changes to resume"
        )
    if not (out / CHECKPOINTS / "model.json").is_file():
        return None
    return CheckpointStore.open(out / CHECKPOINTS, keep=config.train.keep_checkpoints)


def differences(before: RunConfig, now: RunConfig) -> list[str]:
    """Where two configurations mean different runs: "optimizer.b1 was 0.9, is 0.95"."""
    old, new = _flat(before), _flat(now)
    return [
        f"{key} was {old[key]!r}, is {new[key]!r}"
        for key in new
        if old[key] != new[key] and not key.startswith(FREE)
    ]


def create_store(out: Path, config: RunConfig, vocabulary: Vocabulary) -> CheckpointStore:
    """Checkpoints for a new run, carrying the tokenizer that its data were made with."""
    made = {"by": "training", "config": dataclasses.asdict(config)}
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
        )


def write_config(out: Path, config: RunConfig) -> None:
    with atomic_file(out / CONFIG, "w") as file:
        file.write(dump(config))


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not dataclasses.is_dataclass(config):
        return {prefix: config}
    flat = {}
    for field in dataclasses.fields(config):
        name = f"{prefix}.{field.name}" if prefix else field.name
        flat |= _flat(getattr(config, field.name), name)
    return flat
