"""The training loop: set up, compile, loop."""

import contextlib
import dataclasses
import io
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, TypeVar

import jax
import numpy as np

from biomatrix_jax import lock
from biomatrix_jax.checkpoint import CheckpointStore, newest_whole
from biomatrix_jax.config import RunConfig
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.batch_sizes import BatchSizes
from biomatrix_jax.data.loader import Loader
from biomatrix_jax.data.mixture import Stage
from biomatrix_jax.data.monitor import Monitor, tokens_of
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import sha256
from biomatrix_jax.processes import (
    Total,
    Vote,
    any_process,
    barrier,
    check_alike,
    is_first,
    is_first_with,
)
from biomatrix_jax.report.training import write_report
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.sharding.rules import own_share, place_rows
from biomatrix_jax.stopping import Stop, Stopped, stop_on_signal, unless_told
from biomatrix_jax.tokens import Vocabulary
from biomatrix_jax.train import run, state
from biomatrix_jax.train.flops import flops_per_token, peak_flops
from biomatrix_jax.train.metrics import FILE, Recorder, read
from biomatrix_jax.train.step import BATCH, Metrics, Step, make_step

T = TypeVar("T")


def train(
    config: RunConfig, out: Path, *, display: TextIO | None = None, allow_changes: bool = False
) -> int:
    """Trains as `config` says, into the run directory `out` (its layout: `run`).

    A run that `out` holds already is resumed from its latest complete checkpoint. On SIGTERM or
    SIGINT the step at hand is finished and saved before this returns; before the first step there
    is nothing to save. At a second signal, at once.

    Args:
      display: where progress is shown; None is standard error. With several processes the first
        one shows and writes everything; all must see `out`, and the same data, each at its own
        `data.path`.
      allow_changes: resume even with a configuration or data that change what the run means; what
        is changed is shown, and kept with the run.

    Returns:
      The number of updates made so far: `config.train.steps`, unless a signal came before.

    Raises:
      BadInput: the mesh, the model, the data and the run in `out` do not go together, or another
        process writes there. Raised before anything is written, other than for data that turn out
        to be damaged while they are read, a full disk, and a run that diverges.
    """
    out = Path(out)
    display = (display or sys.stderr) if is_first() else io.StringIO()

    def say(line: str) -> None:
        print(line, file=display, flush=True)

    with stop_on_signal() as stop, contextlib.ExitStack() as stack:
        run.check_directory(out)
        if is_first():
            stack.enter_context(lock.locked(out, say))
        past = run.find(out, config.train.keep_checkpoints, config.train.keep_every)
        try:
            return _train(config, out, past, display, say, stop, allow_changes)
        except Stopped:
            say(f"stopped before step {past.done + 1}: nothing to save; start again to go on")
            return past.done


def _train(
    config: RunConfig,
    out: Path,
    past: run.Past,
    display: TextIO,
    say: Callable[[str], None],
    stop: Stop,
    allow_changes: bool,
) -> int:
    done, store, steps = past.done, past.store, config.train.steps

    # Set up. All that can be refused is refused here, before anything is written.
    check_alike(f"latest checkpoint in {out}", done)
    # The data may lie elsewhere on each machine: what they are is compared below.
    alike = dataclasses.replace(config, data=dataclasses.replace(config.data, path=""))
    check_alike("configuration", dataclasses.asdict(alike))
    if done >= steps and not run.differences(past.config, config):
        say(f"{out} is finished: {done} steps")
        return done
    mesh = make_mesh(config.mesh)
    step = make_step(config, mesh)
    share = own_share(step.batch["tokens"])
    sizes = past.batches.then(done, config.data.batch_rows)
    loader = open_data(config, share, sizes)
    vocabulary = Vocabulary.from_pretrained(Path(config.data.path) / manifests.TOKENIZER)
    made = run.made(config, sha256(Path(config.data.path) / manifests.FILE))
    check_alike("data", made["manifest_sha256"])
    changed = run.changes(past, config, made["manifest_sha256"], out, allow_changes)
    changes = past.made.get("changes", [])
    if changed:
        say(f"going on after step {done} with changes: {'; '.join(changed)}")
        changes = [*changes, {"after_step": done, "changed": changed}]
    if done >= steps:
        raise BadInput(f"{out} has made {done} steps already: train.steps ({steps}) must be more")
    if done:
        say(f"resuming {out} after step {done}")
        with run.naming_last_good(store, done):
            current = heeding(stop, lambda: state.restore(store, done, step.state))
    else:
        current = heeding(stop, lambda: state.initial(config, step, mesh, vocabulary))
        if config.train.init_from:
            say(
                f"starting from the weights of {config.train.init_from}; weights are all that is "
                "taken: optimizer, schedule and data begin anew at step 0"
            )

    # Compile, once: the loop calls the compiled program, which takes nothing of another shape.
    parameters = sum(leaf.size for leaf in jax.tree.leaves(step.state.params))
    kind = mesh.devices.flat[0].device_kind
    say(f"{parameters:,} parameters on {mesh.size} {kind} devices, compiling")
    lowered = step.train.lower(step.state, step.batch)
    train_step = heeding(stop, lowered.compile)
    if any_process(stop()):
        raise Stopped
    peak = peak_flops(list(mesh.devices.flat))

    # Loop.
    speaks = is_first_with(share[0])  # of the processes that hold the same rows
    barrier("set up")  # every process has seen what was there before the first one writes
    with run.naming_what_is_saved(out), contextlib.ExitStack() as stack:
        recorder = None
        if is_first():
            run.write_config(out, config)
            if changed:
                run.note_change(out, changes[-1])
            recorder = stack.enter_context(
                Recorder(
                    out,
                    done=done,
                    steps=steps,
                    monitor=Monitor(loader.manifest),
                    flops_per_token=flops_per_token(config.model, config.data.row_length),
                    peak=peak,
                    tensorboard=config.train.tensorboard,
                    display=display,
                )
            )
        store = stack.enter_context(store or run.create_store(out, config, vocabulary, made))
        batches = stack.enter_context(contextlib.closing(loader.iterate(done)))
        vote, total = Vote(), Total()
        pending = None  # metrics of the last step, read while the next one runs
        last = False
        while not last:
            rows = next(batches)
            stage, tokens = loader.stage(done), tokens_of(rows, len(loader.manifest.sources))
            batch = on_mesh(rows, step)
            with jax.transfer_guard("disallow"):
                current, metrics = train_step(current, batch)
            done += 1
            if pending:
                record(recorder, store, config, *pending)
            pending = done, metrics, total(tokens * speaks, metrics), stage
            last = done == steps or vote(stop(), metrics)
            if last or done % config.train.checkpoint_every == 0:
                # Lines first: a checkpoint never knows of steps that the metrics do not.
                record(recorder, store, config, *pending)
                pending = None
                if recorder:
                    recorder.sync()
                said = {"step": done, **made, "batches": sizes.since, "changes": changes}
                state.save(store, done, current, said)
                if recorder:
                    draw(out, config)
                    recorder.restart_clock()
    if done < steps:
        say(f"stopped and saved after step {done}: start again to resume")
    return done


def heeding(stop: Stop, work: Callable[[], T]) -> T:
    """What `work`, which takes its time, returns.

    Raises:
      Stopped: a signal came before. Of several processes none leaves the others; all come to the
        end of their work first.
    """
    alone = jax.process_count() == 1
    return unless_told(stop if alone else lambda: False, work)


def record(
    recorder: Recorder | None,
    store: CheckpointStore,
    config: RunConfig,
    step: int,
    metrics: Metrics,
    tokens: Any,
    stage: Stage,
) -> None:
    """Writes a step down; ends the run where it diverged: too many updates in a row were skipped.

    That waits for the step, the one before the step that the devices are busy with.
    """
    if recorder:
        recorder.write(step, metrics, tokens, stage)
    in_a_row = int(metrics.skipped_in_a_row)
    if in_a_row > config.guard.patience:
        store.wait()
        good = newest_whole(store.directory, below=step - in_a_row + 1)
        raise BadInput(
            f"the updates of the last {in_a_row} steps up to step {step} were skipped, since loss "
            "or gradient were not finite or far above what they had been: the run diverged; "
            f"{run.last(good)} from before, in {store.directory}. Lower "
            "optimizer.peak_learning_rate in a new run"
        )


def draw(out: Path, config: RunConfig) -> None:
    """The run's page; what a skipped step had for a loss may be no number."""
    write_report(out, [line for line in read(out / FILE) if math.isfinite(line["loss"])], config)


def open_data(config: RunConfig, share: tuple[int, int], batches: BatchSizes) -> Loader:
    """The rows of a run, of which each process reads its own.

    Raises:
      BadInput: there are none, or their vocabulary or length is more than the model has.
    """
    if not config.data.path:
        raise BadInput("data.path is empty: name a directory made by `biomatrix data build`")
    loader = Loader(config.data.path, config.data, config.train.seed, *share, batches)
    tokenizer_size = loader.manifest.vocabulary.size
    if config.model.vocab_size < tokenizer_size:
        raise BadInput(
            f"model.vocab_size ({config.model.vocab_size}) is a vocabulary smaller than the "
            f"tokenizer of {config.data.path}, which has {tokenizer_size} tokens: enlarge it"
        )
    if config.data.row_length > config.model.max_positions:
        raise BadInput(
            f"data.row_length ({config.data.row_length}) is more than model.max_positions "
            f"({config.model.max_positions})"
        )
    return loader


def on_mesh(rows: dict[str, np.ndarray], step: Step) -> dict[str, jax.Array]:
    """This process's rows of a batch, its `own_share`, -> the global arrays that the step takes."""
    return {name: place_rows(step.batch[name], rows[name]) for name in BATCH}
