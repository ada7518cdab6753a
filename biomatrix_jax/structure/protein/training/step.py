"""One training step, compiled for a mesh: parameters and optimizer lie as the language model's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from biomatrix_jax.sharding.rules import (
    check_divides,
    parameter_shardings,
    replicated,
    spec,
    with_shardings,
)
from biomatrix_jax.structure.protein.quantizer import CodeStatistic
from biomatrix_jax.structure.protein.training import codebook
from biomatrix_jax.structure.protein.training.config import AdamWConfig, TrainingConfig
from biomatrix_jax.structure.protein.training.data import Batch
from biomatrix_jax.structure.protein.training.objective import (
    encode,
    objective,
    reconstruction,
)
from biomatrix_jax.structure.protein.vqvae import ProteinVQVAE


class State(NamedTuple):
    """All that changes from step to step."""

    step: jax.Array  # int32 [], batches seen
    params: nnx.State
    statistics: nnx.State  # of the codebook
    optimizer: optax.OptState


@dataclass(frozen=True)
class Step:
    """The functions of a training on a mesh, none compiled before it is called.

    Attributes:
      graphdef: of the model; `nnx.merge(graphdef, state.params, state.statistics)` is the model.
      state: shapes and shardings.
      start: seed -> State.
      train: (State, Batch, discrete) -> (State, metrics); the state is donated.
      latents: (State, Batch) -> float32 [n, C], of all residues.
      first_codes: (State, latents, weights [n]) -> State with the codebook that k-means finds.
      measure: (State, Batch) -> RMSD of each row.
    """

    graphdef: nnx.GraphDef
    state: State
    start: Callable[[int], State]
    train: Callable[..., tuple[State, dict[str, jax.Array]]]
    latents: Callable[..., jax.Array]
    first_codes: Callable[..., State]
    measure: Callable[..., jax.Array]


def make_step(config: TrainingConfig, mesh: Mesh) -> Step:
    """Lays a training out on a mesh.

    Raises:
      BadInput: the rules, the model or the batch do not fit the mesh.
    """
    rules = config.rules
    for length in config.batch.lengths:
        rows = (config.batch.residues // length,)
        what = f"a batch of {rows[0]} chains of {length} (batch.residues)"
        check_divides(mesh, rules, what, rows, ("batch",), "the batch's size")

    def initial_model(seed) -> ProteinVQVAE:
        return ProteinVQVAE(config.model, nnx.Rngs(jax.random.key(seed)))

    graphdef, shapes, _ = nnx.split(nnx.eval_shape(initial_model, 0), nnx.Param, CodeStatistic)
    optimizer, rate = make_optimizer(config.optimizer, config.steps, shapes)

    def initial_state(seed) -> State:
        _, params, statistics = nnx.split(initial_model(seed), nnx.Param, CodeStatistic)
        return State(jnp.int32(0), params, statistics, optimizer.init(params))

    def start(seed) -> State:
        # Not compiled as one: drawing dozens of arrays takes a compiler minutes.
        return jax.device_put(initial_state(seed), lies)

    def keys(step, count: int):
        return jax.random.split(jax.random.fold_in(jax.random.key(config.seed), step), count)

    def train(state: State, batch: Batch, discrete: bool):
        spread, fresh = keys(state.step, 2)

        def loss(params):
            model = nnx.merge(graphdef, params, state.statistics)
            return objective(model, batch, config, spread, discrete)

        gradients, (metrics, assigned) = jax.grad(loss, has_aux=True)(state.params)
        updates, moments = optimizer.update(gradients, state.optimizer, state.params)
        params, statistics = state.params, state.statistics
        if discrete:
            # The averages decide where the codes are; the gradient moves them from there.
            settings = config.model.quantizer
            followed = codebook.followed(
                _codebook(params, statistics),
                assigned.latents,
                assigned.codes,
                assigned.weights,
                settings.decay,
                settings.dead_code_threshold,
                fresh,
            )
            params, statistics = _with_codebook(params, statistics, followed)
        metrics |= {
            "gradient_norm": optax.global_norm(gradients),
            "learning_rate": rate(state.step),
        }
        params = optax.apply_updates(params, updates)
        return State(state.step + 1, params, statistics, moments), metrics

    def latents(state: State, batch: Batch) -> jax.Array:
        model = nnx.merge(graphdef, state.params, state.statistics)
        return encode(model, batch).reshape(-1, config.model.quantizer.dim)

    def first_codes(state: State, latents_nc: jax.Array, weights_n: jax.Array) -> State:
        settings, (key,) = config.model.quantizer, keys(state.step, 1)
        means = codebook.kmeans(latents_nc, weights_n, settings.codes, settings.kmeans_steps, key)
        # The averages are of one batch.
        share = config.batch.residues / len(latents_nc)
        means = means._replace(counts=share * means.counts, sums=share * means.sums)
        params, statistics = _with_codebook(state.params, state.statistics, means)
        return state._replace(params=params, statistics=statistics)

    def measure(state: State, batch: Batch) -> jax.Array:
        return reconstruction(nnx.merge(graphdef, state.params, state.statistics), batch)

    parameter_shardings(mesh, rules, shapes)  # refuses what does not divide, by name
    state = with_shardings(jax.eval_shape(initial_state, 0), mesh, rules)
    lies = jax.tree.map(lambda x: x.sharding, state)
    rows_lie = NamedSharding(mesh, spec(rules, ("batch",), mesh))
    return Step(
        graphdef=graphdef,
        state=state,
        start=start,
        train=jax.jit(
            train,
            static_argnums=2,
            donate_argnums=0,
            in_shardings=(lies, rows_lie),
            out_shardings=(lies, replicated(mesh)),
        ),
        latents=jax.jit(latents, in_shardings=(lies, rows_lie), out_shardings=replicated(mesh)),
        first_codes=jax.jit(first_codes, in_shardings=(lies, None, None), out_shardings=lies),
        measure=jax.jit(
            measure,
            in_shardings=(lies, replicated(mesh)),
            out_shardings=replicated(mesh),
        ),
    )


def make_optimizer(config: AdamWConfig, steps: int, shapes: nnx.State):
    """-> (the optimizer, the learning rate of a step counted from 0)."""
    warmup = min(config.warmup_steps, steps - 1)
    peak = config.learning_rate
    rate = optax.warmup_cosine_decay_schedule(
        peak / (warmup + 1), peak, warmup, steps, config.final_fraction * peak
    )

    def decays(variable):
        axes = variable.get_metadata()["axes"]
        # Codes are no weights: where they lie is what they mean.
        return variable.replace("vocab" not in axes and sum(a != "layers" for a in axes) > 1)

    decayed = jax.tree.map(decays, shapes, is_leaf=lambda x: isinstance(x, nnx.Variable))
    adamw = optax.adamw(rate, config.b1, config.b2, weight_decay=config.weight_decay, mask=decayed)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), adamw), rate


def _codebook(params: nnx.State, statistics: nnx.State) -> codebook.Codebook:
    return codebook.Codebook(
        params["quantizer"]["codebook"].get_value(),
        statistics["quantizer"]["counts"].get_value(),
        statistics["quantizer"]["sums"].get_value(),
    )


def _with_codebook(params: nnx.State, statistics: nnx.State, new: codebook.Codebook):
    def put(tree, name, value):
        def one(path, x):
            keys = [getattr(key, "key", None) for key in path]
            return value if keys[:2] == ["quantizer", name] else x

        return jax.tree_util.tree_map_with_path(one, tree)

    params = put(params, "codebook", new.codes)
    return params, put(put(statistics, "counts", new.counts), "sums", new.sums)
