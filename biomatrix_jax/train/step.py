"""One training step, compiled for a mesh: what goes in, where it lies, what comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from biomatrix_jax.config import RunConfig, ShardingRules
from biomatrix_jax.model import Decoder, token_loss
from biomatrix_jax.sharding.rules import (
    batch_sharding,
    check_batch,
    constrain,
    parameter_shardings,
    replicated,
    spec,
)
from biomatrix_jax.tokens.segments import MODALITIES
from biomatrix_jax.train.optimizer import learning_rate, make_optimizer

# What a step reads of a batch, all [B, T]. `modality` is that of the target.
BATCH = {
    "tokens": jnp.int32,
    "targets": jnp.int32,
    "segment_ids": jnp.int32,
    "positions": jnp.int32,
    "modality": jnp.int32,
    "loss_weights": jnp.float32,
}
Batch = dict[str, jax.Array]


class TrainState(NamedTuple):
    """All that changes from step to step."""

    step: jax.Array  # int32 [], updates made
    params: nnx.State
    optimizer: optax.OptState


class Metrics(NamedTuple):
    """Of one step; float32 scalars, and arrays [M] over `MODALITIES`."""

    loss: jax.Array  # mean negative log-likelihood of a target, nats, by loss weight
    tokens: jax.Array  # int32, padding not counted
    modality_loss: jax.Array  # as `loss`, over the targets of a modality; NaN where none counts
    modality_targets: jax.Array  # int32, targets with a loss weight
    grad_norm: jax.Array  # before clipping
    learning_rate: jax.Array


@dataclass(frozen=True)
class Step:
    """The functions of a run on a mesh, none of them compiled before it is called.

    state, batch: shapes and shardings of what `train` takes.
    random(seed) -> TrainState: from initial values, each device making its own piece.
    start(params) -> TrainState: from given parameters, which are donated.
    train(state, batch) -> (state, Metrics): one update; `state` is donated.
    """

    state: TrainState
    batch: Batch
    random: Callable[[jax.Array], TrainState]
    start: Callable[[nnx.State], TrainState]
    train: Any  # the jitted function itself, which can be lowered and compiled ahead


def make_step(config: RunConfig, mesh: Mesh) -> Step:
    """Lays a run out on a mesh.

    Raises:
      BadInput: the rules, the model or the batch do not fit the mesh.
    """
    rules, rows, length = config.rules, config.data.batch_rows, config.data.row_length
    check_batch(mesh, rules, rows, length)

    def initial_model(seed) -> Decoder:
        pin = constrain(mesh, rules)
        rngs = nnx.Rngs(jax.random.key(seed))
        return Decoder(config.model, config.compute, rngs=rngs, constrain=pin)

    graphdef, shapes = nnx.split(nnx.eval_shape(initial_model, 0), nnx.Param)
    optimizer = make_optimizer(config.optimizer, config.train.steps, shapes)
    schedule = learning_rate(config.optimizer, config.train.steps)

    def start(params) -> TrainState:
        return TrainState(jnp.int32(0), params, optimizer.init(params))

    def random(seed) -> TrainState:
        return start(nnx.state(initial_model(seed), nnx.Param))

    def train(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        def loss(params):
            model = nnx.merge(graphdef, params)
            return batch_loss(model, batch)

        (value, counts), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
        # Said here, so that gradients are scattered as they are summed, not kept whole.
        gradients = jax.lax.with_sharding_constraint(gradients, placed)
        updates, moments = optimizer.update(gradients, state.optimizer, state.params)
        metrics = Metrics(
            loss=value,
            **counts,
            # In float32, as `make_optimizer` clips it, whatever the parameters are.
            grad_norm=optax.global_norm(optax.tree.cast(gradients, jnp.float32)),
            learning_rate=schedule(state.step),
        )
        params = optax.apply_updates(state.params, updates)
        return TrainState(state.step + 1, params, moments), metrics

    placed = parameter_shardings(mesh, rules, shapes)
    state = _with_shardings(jax.eval_shape(start, shapes), mesh, rules)
    rows_lie = batch_sharding(mesh, rules)
    batch = {
        name: jax.ShapeDtypeStruct((rows, length), dtype, sharding=rows_lie)
        for name, dtype in BATCH.items()
    }
    state_lies = _shardings(state)
    return Step(
        state=state,
        batch=batch,
        random=jax.jit(random, out_shardings=state_lies),
        start=jax.jit(start, out_shardings=state_lies, donate_argnums=0),
        train=jax.jit(
            train,
            donate_argnums=0,
            in_shardings=(state_lies, _shardings(batch)),
            out_shardings=(state_lies, replicated(mesh)),
        ),
    )


def batch_loss(model: Decoder, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of a batch as `Metrics` defines it, and the other counts that the batch decides.

    Targets of weight 0 count nowhere; a batch without any has the loss 0.
    """
    hidden = model.hidden(batch["tokens"], batch["segment_ids"], batch["positions"])
    loss_bt = token_loss(hidden, model.head_table, batch["targets"], model.compute.loss_chunk)
    weights_bt = batch["loss_weights"]
    by_modality = batch["modality"][..., None] == jnp.arange(len(MODALITIES))  # [B, T, M]
    loss_m = jnp.sum((loss_bt * weights_bt)[..., None] * by_modality, axis=(0, 1))
    weight_m = jnp.sum(weights_bt[..., None] * by_modality, axis=(0, 1))
    weight = jnp.sum(weight_m)
    loss = jnp.sum(loss_m) / jnp.where(weight > 0, weight, 1)
    return loss, {
        "tokens": jnp.sum(batch["segment_ids"] > 0),
        "modality_loss": jax.lax.stop_gradient(loss_m / weight_m),
        "modality_targets": jnp.sum((weights_bt > 0)[..., None] & by_modality, axis=(0, 1)),
    }


def _with_shardings(tree: Any, mesh: Mesh, rules: ShardingRules) -> Any:
    """Shapes with shardings; what is kept for a parameter lies as the parameter does.

    So do the optimizer's moments; counters lie everywhere.
    """

    def is_variable(node):
        return isinstance(node, nnx.Variable)

    def place(node):
        lies = replicated(mesh)
        if is_variable(node):
            lies = NamedSharding(mesh, spec(rules, node.get_metadata()["axes"], mesh))
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=lies), node)

    return jax.tree.map(place, tree, is_leaf=is_variable)


def _shardings(tree: Any) -> Any:
    return jax.tree.map(lambda x: x.sharding, tree)
