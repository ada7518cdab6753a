"""The layers that the parts of the protein tokenizer share, and how a parameter is declared.

Matrices are [out, in] as in the published files. A layer that is stacked has its parameters with
the stack's axis first; `run` cuts them for `lax.scan`. Everything is float32 and multiplied as
float32 on every device.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from biomatrix_jax.model.products import product

NORM_EPS = 1e-5
WHOLE = "norm"  # the logical axis of what every device holds whole, as it holds norms' scales


def declare(
    rngs: nnx.Rngs, stack: int | None, shape: tuple[int, ...], axes: tuple[str, ...], bound: float
) -> nnx.Param:
    """A parameter, uniform in [-bound, bound].

    NumPy draws it: JAX would compile for each shape, which takes half a minute for a model. Only
    while JAX traces (`nnx.eval_shape`, `nnx.jit`) it draws itself.

    Args:
      stack: the number of layers, which become axis 0; None: the parameter of a single layer.
      axes: the logical axis of each of `shape`, see `ShardingRules`.
    """
    shape, axes = stacked(stack, shape, axes)
    key = rngs.params()
    if isinstance(key, jax.core.Tracer):
        value = jax.random.uniform(key, shape, minval=-bound, maxval=bound)
    else:
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        value = jnp.asarray(random.uniform(-bound, bound, shape), jnp.float32)
    return nnx.Param(value, axes=axes)


def stacked(stack: int | None, shape: tuple[int, ...], axes: tuple[str, ...]):
    """`shape` and `axes` with those of the stack in front, where there is one."""
    return (shape, axes) if stack is None else ((stack, *shape), ("layers", *axes))


class Linear(nnx.Module):
    """W x + b over the last axis, W [out, in]; initial values as PyTorch draws them."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rngs: nnx.Rngs,
        *,
        stack: int | None = None,
        axes: tuple[str, str] = (WHOLE, WHOLE),
        bias: bool = True,
    ):
        bound = inputs**-0.5
        self.weight = declare(rngs, stack, (outputs, inputs), axes, bound)
        self.bias = declare(rngs, stack, (outputs,), axes[:1], bound) if bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = product("...i,oi->...o", x, self.weight[...])
        return y if self.bias is None else y + self.bias[...]

    def vectors(self, v: jax.Array) -> jax.Array:
        """The same mixing of channels for vectors, [..., in, 3] -> [..., out, 3]; has no bias."""
        return product("...ix,oi->...ox", v, self.weight[...])


class LayerNorm(nnx.Module):
    """Over the last axis, with scale and bias."""

    def __init__(self, size: int, rngs: nnx.Rngs, *, stack: int | None = None):
        shape, axes = stacked(stack, (size,), (WHOLE,))
        self.weight = nnx.Param(jnp.ones(shape), axes=axes)
        self.bias = nnx.Param(jnp.zeros(shape), axes=axes)

    def __call__(self, x: jax.Array) -> jax.Array:
        return standardised(x) * self.weight[...] + self.bias[...]


def standardised(x: jax.Array) -> jax.Array:
    """To mean 0 and variance 1 over the last axis."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + NORM_EPS)


def run(layers: nnx.Module, x: Any, call: Callable[[nnx.Module, Any], Any]) -> Any:
    """`call(layer, x)` for each layer of a stack in turn: compiled once, whatever the depth."""
    graphdef, state = nnx.split(layers)

    def body(x, layer_state):
        return call(nnx.merge(graphdef, layer_state), x), None

    return jax.lax.scan(body, x, state)[0]
