"""AdamW, and the learning rate over a run."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from biomatrix_jax.config import OptimizerConfig


def learning_rate(config: OptimizerConfig, steps: int) -> Callable[[jax.Array], jax.Array]:
    """The schedule: number of updates already made -> learning rate of the next one.

    Update n of `steps`, counted from 1, has peak * n / warmup_steps up to the peak. (So the first
    update does move, and a run shorter than its warm-up never reaches the peak.) From update s on,
    x = (n - s) / (steps - s) of the decay is done, and the rate is

      peak * (final_fraction + (1 - final_fraction) * shape(x)),

    which is exactly final_fraction * peak at the last update:

      cosine      s = warmup_steps, shape = (1 + cos(pi x)) / 2
      wsd         s = steps - decay_fraction * steps (rounded, and not within the warm-up); the
                  peak holds until then. Hu et al. 2024, arXiv:2404.06395
        linear    shape = 1 - x
        sqrt      shape = 1 - sqrt(x). Hägele et al. 2024, arXiv:2405.18392
    """
    if config.schedule == "cosine":
        start, shape = config.warmup_steps, _SHAPES["cosine"]
    else:
        decay = max(round(config.decay_fraction * steps), 1)
        start, shape = max(steps - decay, config.warmup_steps), _SHAPES[config.decay_shape]

    def schedule(updates):
        n = updates + 1
        warmup = n / max(config.warmup_steps, 1)
        done = jnp.clip((n - start) / max(steps - start, 1), 0, 1)
        decay = config.final_fraction + (1 - config.final_fraction) * shape(done)
        return config.peak_learning_rate * jnp.where(n < config.warmup_steps, warmup, decay)

    return schedule


_SHAPES = {
    "cosine": lambda done: (1 + jnp.cos(jnp.pi * done)) / 2,
    "linear": lambda done: 1 - done,
    "sqrt": lambda done: 1 - jnp.sqrt(done),
}


def make_optimizer(
    config: OptimizerConfig, steps: int, params: nnx.State
) -> optax.GradientTransformation:
    """Clipping by global norm, then AdamW; moments are float32 whatever the parameters are.

    Args:
      steps: updates of the whole run, for the schedule.
      params: the parameters or their shapes; says which are matrices. Only these decay.
    """
    matrices = jax.tree.map(
        lambda variable: variable.replace(_is_matrix(variable)),
        params,
        is_leaf=lambda node: isinstance(node, nnx.Variable),
    )
    return _in_float32(
        optax.chain(
            optax.clip_by_global_norm(config.clip_norm),
            optax.adamw(
                learning_rate(config, steps),
                b1=config.b1,
                b2=config.b2,
                eps=config.eps,
                weight_decay=config.weight_decay,
                mask=matrices,
            ),
        )
    )


def _is_matrix(variable: nnx.Variable) -> bool:
    """A norm scale is a vector for each layer, everything else maps one axis to another."""
    return sum(axis != "layers" for axis in variable.get_metadata()["axes"]) > 1


def _in_float32(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    def init(params):
        return inner.init(optax.tree.cast(params, jnp.float32))

    def update(gradients, state, params):
        cast = (optax.tree.cast(tree, jnp.float32) for tree in (gradients, params))
        gradients, params = cast
        return inner.update(gradients, state, params)

    return optax.GradientTransformation(init, update)
