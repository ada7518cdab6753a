"""A training from the first step to the last: batches, metrics, checkpoints, weights."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from biomatrix_jax.config import MeshConfig, dump, load_as
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.sharding.mesh import make_mesh
from biomatrix_jax.structure.protein import weights
from biomatrix_jax.structure.protein.config import QuantizerConfig
from biomatrix_jax.structure.protein.quantizer import CodeStatistic
from biomatrix_jax.structure.protein.training import data
from biomatrix_jax.structure.protein.training.chains import TrainingChain
from biomatrix_jax.structure.protein.training.checkpoint import restore, save
from biomatrix_jax.structure.protein.training.config import BatchConfig, TrainingConfig
from biomatrix_jax.structure.protein.training.step import State, Step, make_step

METRICS, CONFIG, WEIGHTS, CHECKPOINT = "metrics.jsonl", "config.yaml", "weights", "state.npz"
KMEANS_RESIDUES = 4  # for each code, that k-means starts from


def train(
    config: TrainingConfig,
    chains: Sequence[TrainingChain],
    out: Path,
    report: Callable[[dict[str, Any]], None] = lambda metrics: None,
    devices: Sequence[jax.Device] | None = None,
) -> Path:
    """Trains a tokenizer, or goes on where an interrupted training of the same settings stopped.

    A batch depends on the settings and the step alone, so that going on gives what one run without
    interruption would have given.

    Args:
      chains: with some of them held out, to measure on.
      out: gets config.yaml, metrics.jsonl (one object a step), state.npz and, at the end, weights/,
        which `ProteinTokenizer.from_pretrained` reads.
      report: called with each line of metrics.jsonl.
      devices: None means all.

    Returns:
      The directory with the weights.

    Raises:
      BadInput: no chains to train on, settings that do not fit the devices or the training that
        `out` holds, or a loss that is not finite.
    """
    step = make_step(config, make_mesh(config.mesh, devices))
    learnt, held = ([_prepared(c) for c in chains if c.held_out is part] for part in (False, True))
    if not learnt:
        raise BadInput("there is no chain to train on: all are held out")
    sampler = data.Sampler(learnt, config.batch, config.seed)
    state = _resume(out, config, step)
    done = int(state.step)
    with open(out / METRICS, "a", encoding="utf-8") as file:
        while done < config.steps:
            discrete = done >= config.continuous_steps
            if done == config.continuous_steps and not config.init_from:
                state = step.first_codes(state, *_for_kmeans(step, state, sampler, config))
            started = time.perf_counter()
            state, metrics = step.train(state, sampler.batch(done), discrete)
            line = {"step": done, **{name: float(value) for name, value in metrics.items()}}
            line["seconds"] = time.perf_counter() - started
            if not np.isfinite(line["loss"]):
                raise BadInput(
                    f"the loss of step {done} is {line['loss']}: lower the learning rate"
                )
            done += 1
            if discrete and held and _due(done, config):
                line |= measured(step, state, held, config.batch)
            file.write(json.dumps(line) + "\n")
            report(line)
            if done % config.checkpoint_every == 0 or done == config.steps:
                file.flush()
                save(out / CHECKPOINT, state)
    if not (out / WEIGHTS).exists():
        _write(out / WEIGHTS, config, step, state)
    return out / WEIGHTS


def export(out: Path, to: Path) -> int:
    """Writes the weights of a training's newest checkpoint to a directory; returns its step.

    Raises:
      BadInput: `out` holds no checkpoint, or `to` is there already.
    """
    if not (out / CHECKPOINT).exists():
        raise BadInput(f"{out} holds no {CHECKPOINT}: let the training come to its first one")
    config = load_as(TrainingConfig, out / CONFIG)
    # On one device: the training's own need not be here.
    step = make_step(config, make_mesh(MeshConfig(), jax.devices()[:1]))
    state = restore(out / CHECKPOINT, step.state)
    _write(to, config, step, state)
    return int(state.step)


def _write(place: Path, config: TrainingConfig, step: Step, state: State) -> None:
    weights.write(place, config.model, nnx.merge(step.graphdef, state.params, state.statistics))


def measured(
    step: Step, state: State, held: Sequence[data.Prepared], config: BatchConfig
) -> dict[str, float]:
    """RMSD of N, CA, C of held-out chains, angstrom; of those that `config.lengths` can hold."""
    longest = max(config.lengths)
    found: list[float] = []
    shorter = 0
    for length in sorted(config.lengths):
        members = [chain for chain in held if shorter < len(chain.residues) <= length]
        rows = config.residues // length
        for first in range(0, len(members), rows):
            part = members[first : first + rows]
            # Full batches, so that a length is compiled once.
            batch = data.padded(part + part[:1] * (rows - len(part)), length)
            found += np.asarray(step.measure(state, batch))[: len(part)].tolist()
        shorter = length
    if not found:
        raise BadInput(f"no held-out chain has {longest} residues or fewer (batch.lengths)")
    return {"held_out_rmsd": float(np.mean(found)), "held_out_median": float(np.median(found))}


def _prepared(chain: TrainingChain) -> data.Prepared:
    try:
        return data.prepare(chain)
    except BadInput as error:
        raise BadInput(f"{chain.name}: {error}") from None


def _due(done: int, config: TrainingConfig) -> bool:
    return done % config.evaluate_every == 0 or done == config.steps


def _for_kmeans(step: Step, state: State, sampler: data.Sampler, config: TrainingConfig):
    """Latents [n, C] of the batches to come, enough for the number of codes; weights [n]."""
    wanted = KMEANS_RESIDUES * config.model.quantizer.codes
    count = -(-wanted // config.batch.residues)
    batches = [sampler.batch(config.continuous_steps + i) for i in range(count)]
    latents = np.concatenate([np.asarray(step.latents(state, batch)) for batch in batches])
    weights = np.concatenate([batch.observed.reshape(-1) for batch in batches])
    return latents, weights.astype(np.float32)


def _initial(config: TrainingConfig, step: Step) -> State:
    state = step.start(config.seed)
    if not config.init_from:
        return state
    found, model = weights.read(config.init_from)
    # What says how to train may differ, what says which weights there are may not.
    theirs, ours = (replace(c, quantizer=_sizes(c.quantizer)) for c in (found, config.model))
    if theirs != ours:
        raise BadInput(f"{config.init_from} has other sizes than `model` says: make them alike")
    _, params, statistics = nnx.split(model, nnx.Param, CodeStatistic)
    there = state._replace(params=params, statistics=statistics)
    return jax.tree.map(lambda x, lies: jax.device_put(x, lies.sharding), there, step.state)


def _sizes(config: QuantizerConfig) -> QuantizerConfig:
    return QuantizerConfig(dim=config.dim, codes=config.codes)


def _resume(out: Path, config: TrainingConfig, step: Step) -> State:
    """The state to go on from; `out` gets the settings, and loses metrics that come again."""
    out.mkdir(parents=True, exist_ok=True)
    settings, place = dump(config), out / CONFIG
    if not place.exists():
        if any(out.iterdir()):
            raise BadInput(f"{out} is not empty and holds no training: choose another place")
        with atomic_file(place, "w") as file:
            file.write(settings)
    elif place.read_text(encoding="utf-8") != settings:
        raise BadInput(f"{place} has other settings: choose another place, or go on with those")
    if not (out / CHECKPOINT).exists():
        (out / METRICS).unlink(missing_ok=True)
        return _initial(config, step)
    state = restore(out / CHECKPOINT, step.state)
    lines = (out / METRICS).read_text(encoding="utf-8").splitlines(keepends=True)
    with atomic_file(out / METRICS, "w") as file:
        file.writelines(lines[: int(state.step)])
    return state
