"""The training loop: set up, compile, loop."""

import contextlib
import dataclasses
import io
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import jax
import numpy as np
from flax import nnx

from biomatrix_jax.checkpoint import CheckpointStore
from biomatrix_jax.config import RunConfig
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.loader import Loader
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import sha256
from biomatrix_jax.processes import any_process, barrier, is_first
from biomatrix_jax.report.training import write_report
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.sharding.rules import own_share, place_rows
from biomatrix_jax.tokens import Vocabulary
from biomatrix_jax.train import run
from biomatrix_jax.train.flops import flops_per_token, peak_flops
from biomatrix_jax.train.metrics import FILE, Recorder, read
from biomatrix_jax.train.step import BATCH, Metrics, Step, make_step
from biomatrix_jax.train.update import TrainState


def train(config: RunConfig, out: Path, *, display: TextIO | None = None) -> int:
    """Trains as `config` says, into the run directory `out` (its layout: `run`).

    A run that `out` holds already is resumed from its latest complete checkpoint. On SIGTERM or
    SIGINT the step at hand is finished and saved before this returns; at a second one, at once.

    Args:
      display: where progress is shown; None is standard error. With several processes the first
        one shows and writes everything; all must see the same files.

    Returns:
      The number of updates made so far: `config.train.steps`, unless a signal came before.

    Raises:
      BadInput: the mesh, the model, the data and the run in `out` do not go together. Raised before
        anything is written, other than for data that turn out to be damaged while they are read.
    """
    out, steps = Path(out), config.train.steps
    display = (display or sys.stderr) if is_first() else io.StringIO()

    # Set up. All that can be refused is refused here, before anything is written.
    store = run.find_store(out, config)
    done = (store.latest() if store else None) or 0
    if done >= steps:
        print(f"{out} is finished: {done} steps", file=display)
        return done
    mesh = make_mesh(config.mesh)
    step = make_step(config, mesh)
    share = own_share(step.batch["tokens"])
    loader = open_data(config, share)
    vocabulary = Vocabulary.from_pretrained(Path(config.data.path) / manifests.TOKENIZER)
    data_checksum = sha256(Path(config.data.path) / manifests.FILE)
    if done:
        print(f"resuming {out} after step {done}", file=display)
        check_data(store, done, data_checksum)
        state = restored(store, done, step)
    else:
        state = initial(config, step, mesh, vocabulary)
        if config.train.init_from:
            print(
                f"starting from the weights of {config.train.init_from}; weights are all that is "
                "taken: optimizer, schedule and data begin anew at step 0",
                file=display,
            )

    # Compile, once: the loop calls the compiled program, which takes nothing of another shape.
    parameters = sum(leaf.size for leaf in jax.tree.leaves(step.state.params))
    kind = mesh.devices.flat[0].device_kind
    print(f"{parameters:,} parameters on {mesh.size} {kind} devices, compiling", file=display)
    train_step = step.train.lower(step.state, step.batch).compile()
    peak = peak_flops(list(mesh.devices.flat))

    # Loop.
    barrier("set up")  # every process has seen what was there before the first one writes
    if is_first():
        out.mkdir(parents=True, exist_ok=True)
        run.write_config(out, config)
    store = store or run.create_store(out, config, vocabulary)
    recorder = None
    if is_first():
        recorder = Recorder(
            out,
            done=done,
            steps=steps,
            flops_per_token=flops_per_token(config.model, config.data.row_length),
            peak=peak,
            tensorboard=config.train.tensorboard,
            display=display,
        )
    batches = loader.iterate(done)
    pending = None  # metrics of the last step, read while the next one runs
    with (
        store,
        recorder or contextlib.nullcontext(),
        contextlib.closing(batches),
        stop_on_signal() as stop,
    ):
        last = False
        while not last:
            batch = on_mesh(next(batches), step)
            with jax.transfer_guard("disallow"):
                state, metrics = train_step(state, batch)
            done += 1
            last = done == steps or stop()
            if pending:
                record(recorder, store, *pending)
            pending = done, metrics
            if last or done % config.train.checkpoint_every == 0:
                # Lines first: a checkpoint never knows of steps that the metrics do not.
                record(recorder, store, *pending)
                pending = None
                store.save(
                    done,
                    state.params,
                    training=state._replace(step=None, params=None),
                    data={"step": done, "manifest_sha256": data_checksum},
                )
                if recorder:
                    write_report(out, read(out / FILE), config)
                    recorder.restart_clock()
    if done < steps:
        print(f"stopped and saved after step {done}: start again to resume", file=display)
    return done


def record(recorder: Recorder | None, store: CheckpointStore, step: int, metrics: Metrics) -> None:
    """Writes a step down; ends the run where it diverged, before a checkpoint holds that."""
    if recorder:
        recorder.write(step, metrics)
    if not (np.isfinite(metrics.loss) and np.isfinite(metrics.grad_norm)):
        good = store.latest()
        raise BadInput(
            f"the loss or its gradient is not finite at step {step}: the run diverged; "
            + (f"step {good} is its last good checkpoint" if good else "it has no checkpoint yet")
            + f" in {store.directory}. Lower optimizer.peak_learning_rate in a new run"
        )


def open_data(config: RunConfig, share: tuple[int, int]) -> Loader:
    """The rows of a run, of which each process reads its own.

    Raises:
      BadInput: there are none, or their vocabulary or length is more than the model has.
    """
    if not config.data.path:
        raise BadInput("data.path is empty: name a directory made by `biomatrix data build`")
    loader = Loader(config.data.path, config.data, config.train.seed, *share)
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


def check_data(store: CheckpointStore, step: int, checksum: str) -> None:
    if store.restore_data(step)["manifest_sha256"] != checksum:
        raise BadInput(
            f"{store.directory}: was trained on other data than data.path names now: the manifest "
            "differs, so the same steps would see other rows"
        )


def initial(
    config: RunConfig, step: Step, mesh: jax.sharding.Mesh, vocabulary: Vocabulary
) -> TrainState:
    """Random weights by the run's seed, or those that `train.init_from` names.

    Args:
      vocabulary: of the data.
    """
    if not config.train.init_from:
        return step.random(np.uint32(config.train.seed))
    from biomatrix_jax.convert.hub import resolve
    from biomatrix_jax.convert.load import load
    from biomatrix_jax.convert.source import open_source

    path = resolve(config.train.init_from)  # once: a branch on the Hub may move
    check_tokens(Path(open_source(path).files), vocabulary)
    model = load(path, mesh=mesh, rules=config.rules, dtype=config.compute.param_dtype)
    theirs, ours = dataclasses.asdict(model.config), dataclasses.asdict(config.model)
    wrong = [f"{k} is {theirs[k]} there, {v} here" for k, v in ours.items() if theirs[k] != v]
    if wrong:
        raise BadInput(f"train.init_from: {config.train.init_from}: model.{'; model.'.join(wrong)}")
    return step.start(nnx.state(model, nnx.Param))


def check_tokens(initial: Path, vocabulary: Vocabulary) -> None:
    """Raises BadInput where an id has another meaning in the weights than in the data.

    The data may have more tokens than the tokenizer that came with the weights. Where none came,
    there is nothing to compare.
    """
    if not (initial / "tokenizer.json").is_file():
        return
    theirs = Vocabulary.from_pretrained(initial)
    for i in filter(theirs.has, range(theirs.size)):
        here = vocabulary.token(i) if vocabulary.has(i) else None
        if here != theirs.token(i):
            raise BadInput(
                f"train.init_from: token {i} is {theirs.token(i)!r} in {initial}, but "
                f"{here!r} in the data: build the data with a tokenizer that extends it"
            )


def restored(store: CheckpointStore, done: int, step: Step) -> TrainState:
    """The state after `done` updates, placed as `step` wants it whatever mesh it was saved on."""
    rest = store.restore_training(done, step.state._replace(step=None, params=None))
    return rest._replace(
        step=jax.device_put(np.int32(done), step.state.step.sharding),
        params=store.restore_params(done, step.state.params),
    )


def on_mesh(rows: dict[str, np.ndarray], step: Step) -> dict[str, jax.Array]:
    """This process's rows of a batch, its `own_share`, -> the global arrays that the step takes."""
    return {name: place_rows(step.batch[name], rows[name]) for name in BATCH}


@contextlib.contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """A function that says whether to stop, since SIGTERM or SIGINT came.

    A second signal acts as it did before. Of several processes one that is told is enough, and all
    hear it after the same step.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set  # only the main thread may say what signals do
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def request(number, frame):
        stop.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, request)
    try:
        yield lambda: any_process(stop.is_set())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
