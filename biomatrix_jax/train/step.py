"""One training step, compiled for a mesh: what goes in, where it lies, what comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from biomatrix_jax.config import RunConfig
from biomatrix_jax.model import Decoder
from biomatrix_jax.model.attention.choose import choose
from biomatrix_jax.model.placement import Placement
from biomatrix_jax.sharding.rules import (
    batch_sharding,
    check_batch,
    constrain,
    parameter_shardings,
    replicated,
    spec,
    state_rules,
    with_shardings,
)
from biomatrix_jax.train.objective import Batch, batch_sums, gradient
from biomatrix_jax.train.optimizer import learning_rate, make_optimizer
from biomatrix_jax.train.update import Choice, TrainState, descend
from biomatrix_jax.train.update import start as start_state

# What a step reads of a batch, all [B, T]. `modality` is that of the target.
BATCH = {
    "tokens": jnp.int32,
    "targets": jnp.int32,
    "segment_ids": jnp.int32,
    "positions": jnp.int32,
    "modality": jnp.int32,
    "loss_weights": jnp.float32,
}


class Metrics(NamedTuple):
    """Of one step; float32 scalars, and arrays [M] over `MODALITIES`."""

    loss: jax.Array  # mean negative log-likelihood of a target, nats, by loss weight
    tokens: jax.Array  # int32, padding not counted
    modality_loss: jax.Array  # as `loss`, over the targets of a modality; NaN where none counts
    modality_targets: jax.Array  # int32, targets with a loss weight
    grad_norm: jax.Array  # before clipping
    learning_rate: jax.Array
    skipped: jax.Array  # bool, whether the guard kept the update from the weights
    skipped_in_a_row: jax.Array  # int32, up to this step
    skipped_in_all: jax.Array  # int32


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
      BadInput: the rules, the model or the batch do not fit the mesh; the attention kernel asked
        for does not fit them; `optimizer.frozen` does not fit the model.
    """
    rules, rows, length = config.rules, config.data.batch_rows, config.data.row_length
    parts = config.train.accumulate
    check_batch(mesh, rules, rows, length, parts)
    attention = choose(config.compute, config.model, mesh, rules, length)
    pin = constrain(mesh, rules)
    placement = Placement(
        *(
            NamedSharding(mesh, spec(rules, axes, mesh))
            for axes in (("batch", "length", "act_embed"), ("vocab", "embed"))
        )
    )

    def initial_model(seed) -> Decoder:
        rngs = nnx.Rngs(jax.random.key(seed))
        return Decoder(
            config.model,
            config.compute,
            rngs=rngs,
            constrain=pin,
            attend=attention.attend,
            placement=placement,
        )

    graphdef, shapes = nnx.split(nnx.eval_shape(initial_model, 0), nnx.Param)
    choice = Choice(config.optimizer, shapes)
    moving, _ = choice.split(shapes)
    optimizer = make_optimizer(config.optimizer, moving)
    schedule = learning_rate(config.optimizer, config.train.steps)
    of_state = state_rules(rules)
    params_lie = parameter_shardings(mesh, rules, shapes)
    moments_lie = parameter_shardings(mesh, of_state, moving)

    def place(tree):
        """What is kept of a parameter, or summed up for it, in as many pieces as its moments."""
        return jax.lax.with_sharding_constraint(tree, moments_lie)

    def start(params) -> TrainState:
        return start_state(config.optimizer, choice, optimizer, params)

    def random(seed) -> TrainState:
        return start(nnx.state(initial_model(seed), nnx.Param))

    def train(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        moving, still = choice.split(state.params)
        batch = attention.arrange(batch)  # nothing below depends on the order of columns

        def sums(moving, batch):
            model = nnx.merge(graphdef, nnx.merge_state(moving, still))
            return batch_sums(model, batch)

        gradients, found = gradient(
            sums,
            moving,
            batch,
            parts=parts,
            z_loss=config.compute.z_loss,
            # Said here, so that gradients are scattered as they are summed, not kept whole.
            place=lambda gradients: place(choice.of_rows(gradients)),
            place_part=lambda part: {k: pin(v, ("batch", "length")) for k, v in part.items()},
        )
        weight = jnp.sum(found.weight)
        loss = jnp.sum(found.loss) / jnp.where(weight > 0, weight, 1)
        # In float32, as `make_optimizer` clips it, whatever the parameters are.
        norm = optax.global_norm(optax.tree.cast(gradients, jnp.float32))
        take, guard = state.guard.judge(config.guard, loss, norm)

        rate = schedule(state.step)
        moved = descend(config.optimizer, choice, optimizer, state, gradients, rate, place)
        after = jax.tree.map(lambda new, old: jnp.where(take, new, old), moved, state)
        metrics = Metrics(
            loss=loss,
            tokens=found.tokens,
            modality_loss=found.loss / found.weight,
            modality_targets=found.targets,
            grad_norm=norm,
            learning_rate=rate,
            skipped=~take,
            skipped_in_a_row=guard.in_a_row,
            skipped_in_all=guard.skipped,
        )
        return after._replace(step=state.step + 1, guard=guard), metrics

    def lying(x, sharding):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    state = with_shardings(jax.eval_shape(start, shapes), mesh, of_state)
    state = state._replace(params=jax.tree.map(lying, shapes, params_lie))
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


def _shardings(tree: Any) -> Any:
    return jax.tree.map(lambda x: x.sharding, tree)
