"""What a gradient does to the weights: which move, in what precision, and their running average."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from biomatrix_jax.config import OptimizerConfig, within
from biomatrix_jax.errors import BadInput
from biomatrix_jax.train.guard import Guard


class TrainState(NamedTuple):
    """All that changes from step to step."""

    step: jax.Array  # int32 [], batches seen
    params: nnx.State
    master: nnx.State | None  # float32, of what moves, where params are narrower: sums add up here
    average: nnx.State | None  # float32, of all parameters, where the run keeps one
    optimizer: optax.OptState  # of what moves
    guard: Guard


class Choice:
    """Which parameters of a model move.

    Raises:
      BadInput: `frozen` names no parameter, or leaves none.
    """

    def __init__(self, config: OptimizerConfig, params: nnx.State):
        self._frozen, self._rows = config.frozen, config.frozen_rows
        flat = {_dotted(path): variable for path, variable in nnx.to_flat_state(params)}
        for name in config.frozen:
            if not any(within(path, [name]) for path in flat):
                raise BadInput(f"optimizer.frozen: no parameter {name}; they are {', '.join(flat)}")
        if all(within(path, config.frozen) for path in flat):
            raise BadInput("optimizer.frozen leaves no parameter to train")
        for path, variable in flat.items():
            if "vocab" in variable.get_metadata()["axes"] and self._rows >= variable.shape[0]:
                raise BadInput(
                    f"optimizer.frozen_rows ({self._rows}) leaves no row of {path} to train: it "
                    f"has {variable.shape[0]}"
                )

    def split(self, params: nnx.State) -> tuple[nnx.State, nnx.State]:
        """-> (those that move, those that stay)."""

        def moves(path, _):
            return not within(_dotted(path), self._frozen)

        return nnx.split_state(params, moves, ...)

    def of_rows(self, tree: nnx.State) -> nnx.State:
        """Gradients or updates with zeros for the rows that stay."""
        if not self._rows:
            return tree

        def one(variable):
            if variable.get_metadata()["axes"][0] != "vocab":
                return variable
            x = variable.get_value()
            moves = jnp.arange(x.shape[0])[:, None] >= self._rows
            return variable.replace(jnp.where(moves, x, 0))

        return jax.tree.map(one, tree, is_leaf=lambda node: isinstance(node, nnx.Variable))


def start(
    config: OptimizerConfig,
    choice: Choice,
    optimizer: optax.GradientTransformation,
    params: nnx.State,
) -> TrainState:
    moving, _ = choice.split(params)
    narrow = any(x.dtype != jnp.float32 for x in jax.tree.leaves(moving))
    return TrainState(
        step=jnp.int32(0),
        params=params,
        master=_float32(moving) if config.master_copy and narrow else None,
        average=_float32(params) if config.ema_decay else None,
        optimizer=optimizer.init(moving),
        guard=Guard.new(),
    )


def descend(
    config: OptimizerConfig,
    choice: Choice,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    gradients: nnx.State,
    learning_rate: jax.Array,
    place: Callable[[Any], Any],
) -> TrainState:
    """The state after an update; step and guard are the caller's.

    The average after update n keeps min(ema_decay, (1 + n) / (10 + n)) of what it was, so that the
    initial values are soon forgotten.

    Args:
      gradients: of the parameters that move.
      place: says of what moves where the optimizer's state lies; there the sum is made.
    """
    moving, still = choice.split(state.params)
    base = place(moving if state.master is None else state.master)
    ascent, moments = optimizer.update(gradients, state.optimizer, base)
    descent = jax.tree.map(lambda x: -learning_rate * x, choice.of_rows(ascent))
    moved = place(optax.apply_updates(base, descent))
    params = nnx.merge_state(jax.tree.map(lambda x, p: x.astype(p.dtype), moved, moving), still)
    average = state.average
    if average is not None:
        keep = jnp.minimum(config.ema_decay, (2 + state.step) / (11 + state.step))
        exact = _float32(nnx.merge_state(moved, still))
        average = jax.tree.map(lambda a, x: keep * a + (1 - keep) * x, average, exact)
    return state._replace(
        params=params,
        master=None if state.master is None else moved,
        average=average,
        optimizer=moments,
    )


def _dotted(path: tuple) -> str:
    return ".".join(map(str, path))


def _float32(tree: nnx.State) -> nnx.State:
    return optax.tree.cast(tree, jnp.float32)
