"""Optimizers by name, and the learning rate over a run.

Every one is: clip the gradients by their global norm, scale them, add the decay of the matrices;
`update` takes the learning rate of that. Only the scaling differs, and each makes updates of about
the size of AdamW's, so that a peak learning rate and a weight decay keep their meaning:

  adamw      Adam's moments. Loshchilov and Hutter 2019, arXiv:1711.05101
  adafactor  the second moment by rows and columns of a matrix, no first moment, updates clipped to
             a root mean square of 1; not scaled by the parameters. Shazeer and Stern 2018,
             arXiv:1804.04235; without the scaling by parameters Zhai et al. 2021, arXiv:2106.04560
  muon       a layer's matrices: the momentum orthogonalised (Jordan 2024, as optax has it), scaled
             to a root mean square of 0.2 (Liu et al. 2025, arXiv:2502.16982). Embeddings, head and
             norms: adamw

A layer's matrix is [output, input] with the heads merged, each of a stacked array on its own.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib
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


def make_optimizer(config: OptimizerConfig, params: nnx.State) -> optax.GradientTransformation:
    """Gradients -> ascents in float32, of which a descent takes the learning rate's part.

    Its state is float32 whatever the parameters are.

    Args:
      params: the parameters or their shapes; says which are matrices. Only these decay.
    """
    adam = optax.scale_by_adam(b1=config.b1, b2=config.b2, eps=config.eps)
    scale = {
        "adamw": lambda: adam,
        "adafactor": lambda: _by_matrix(
            optax.chain(optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0)), params
        ),
        "muon": lambda: optax.partition(
            {"muon": _muon(config.momentum, params), "adamw": adam},
            _map(lambda axes: "muon" if _of_a_layer(axes) else "adamw", params),
        ),
    }[config.name]()
    return _in_float32(
        optax.chain(
            optax.clip_by_global_norm(config.clip_norm),
            scale,
            optax.add_decayed_weights(config.weight_decay, _map(_is_matrix, params)),
        )
    )


def _map(function: Callable[[tuple[str, ...]], Any], params: nnx.State) -> nnx.State:
    """The tree of `params` with what `function` says of each one's logical axes."""
    return jax.tree.map(
        lambda variable: variable.replace(function(variable.get_metadata()["axes"])),
        params,
        is_leaf=lambda node: isinstance(node, nnx.Variable),
    )


def _is_matrix(axes: tuple[str, ...]) -> bool:
    """A norm scale is a vector for each layer, everything else maps one axis to another."""
    return sum(axis != "layers" for axis in axes) > 1


def _of_a_layer(axes: tuple[str, ...]) -> bool:
    return axes[0] == "layers" and _is_matrix(axes)


def _muon(momentum: float, params: nnx.State) -> optax.GradientTransformation:
    """Muon's scaling of the matrices of layers; the others of `params` are masked."""

    def dimensions(axes):
        if not _of_a_layer(axes):
            return optax.MaskedNode()
        embed = axes.index("embed")
        others = tuple(i for i in range(1, len(axes)) if i != embed)
        reduced, made = ((embed,), others) if embed > 1 else (others, (embed,))
        return optax.contrib.MuonDimensionNumbers(reduced, made)

    def scaled(update, axes):
        # An orthogonal [m, n] has the root mean square 1 / sqrt(max(m, n)).
        longer = max(math.prod(update.shape[i] for i in side) for side in axes)
        return 0.2 * math.sqrt(longer) * update

    numbers = _map(dimensions, params)
    return optax.chain(
        optax.contrib.scale_by_muon(beta=momentum, weight_dimension_numbers=lambda _: numbers),
        optax.stateless(lambda updates, _: jax.tree.map(scaled, updates, numbers)),
    )


def _by_matrix(
    inner: optax.GradientTransformation, params: nnx.State
) -> optax.GradientTransformation:
    """Applies `inner` to each layer's matrices and vectors as to parameters of their own.

    Its state is in two parts: `layers`, all of whose arrays are stacked, and `rest`.
    """
    is_variable = {"is_leaf": lambda node: isinstance(node, nnx.Variable)}
    layouts = [
        (jax.tree_util.keystr(path, simple=True, separator="."), variable.get_metadata()["axes"])
        for path, variable in jax.tree.leaves_with_path(params, **is_variable)
    ]

    def split(tree):
        parts = {"layers": {}, "rest": {}}
        for (name, axes), x in zip(layouts, jax.tree.leaves(tree), strict=True):
            layers, shape = (x.shape[:1], x.shape[1:]) if axes[0] == "layers" else ((), x.shape)
            if _is_matrix(axes):
                shape = (-1, shape[-1]) if axes[-1] == "embed" else (shape[0], -1)
            parts["layers" if layers else "rest"][name] = x.reshape(layers + shape)
        return parts

    def joined(parts, like):
        leaves, structure = jax.tree.flatten(like)
        flat = parts["layers"] | parts["rest"]
        return structure.unflatten(
            flat[name].reshape(x.shape) for (name, _), x in zip(layouts, leaves, strict=True)
        )

    stacked = any(axes[0] == "layers" for _, axes in layouts)
    of_layers = jax.vmap if stacked else lambda function: function  # which maps over something

    def init(params):
        parts = split(params)
        return {"layers": of_layers(inner.init)(parts["layers"]), "rest": inner.init(parts["rest"])}

    def update(gradients, state, params):
        g, p = split(gradients), split(params)
        layers, layers_state = of_layers(inner.update)(g["layers"], state["layers"], p["layers"])
        rest, rest_state = inner.update(g["rest"], state["rest"], p["rest"])
        updates = joined({"layers": layers, "rest": rest}, gradients)
        return updates, {"layers": layers_state, "rest": rest_state}

    return optax.GradientTransformation(init, update)


def _in_float32(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    def init(params):
        return inner.init(optax.tree.cast(params, jnp.float32))

    def update(gradients, state, params):
        cast = (optax.tree.cast(tree, jnp.float32) for tree in (gradients, params))
        gradients, params = cast
        return inner.update(gradients, state, params)

    return optax.GradientTransformation(init, update)
