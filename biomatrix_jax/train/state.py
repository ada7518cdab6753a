"""Where the state of a run comes from, random weights, those of a model or a checkpoint, and how a
checkpoint holds it: parameters and their average as items of their own, the rest as `training`."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from biomatrix_jax.checkpoint import CheckpointStore
from biomatrix_jax.config import RunConfig
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import Vocabulary
from biomatrix_jax.train.step import Step
from biomatrix_jax.train.update import TrainState


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


def save(store: CheckpointStore, done: int, state: TrainState, data: dict[str, Any]) -> None:
    """Saves the state after `done` updates; returns when it may be changed."""
    store.save(done, state.params, data=data, average=state.average, training=_rest(state))


def restore(store: CheckpointStore, done: int, wanted: TrainState) -> TrainState:
    """The state after `done` updates.

    Args:
      wanted: shapes and shardings, whatever mesh it was saved on.
    """
    state = store.restore(done, _rest(wanted), "training")
    if wanted.average is not None:
        state = state._replace(average=store.restore(done, wanted.average, "average"))
    return state._replace(
        step=jax.device_put(np.int32(done), wanted.step.sharding),
        params=store.restore(done, wanted.params),
    )


def _rest(state: TrainState) -> TrainState:
    return state._replace(step=None, params=None, average=None)
