"""Weights stored in one type and used in a narrower one, a layer at a time.

In a loop over stacked layers `astype` alone costs more memory than it must. The compiler moves it
out of the loop, so that all layers lie there in both types; and each layer's gradient, which the
backward pass makes in the narrow type, is widened as it is stacked.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


def layer_by_layer(stacked: Any, dtype: str) -> tuple[Any, Callable[[Any], Any]]:
    """-> (what to loop over in the place of `stacked`, what makes a layer's weights of a piece).

    The weights are those of `astype`; their gradients are stacked in `dtype` and then widened.

    Args:
      stacked: a tree of floating-point arrays, layers on axis 0.
    """
    narrow = jnp.dtype(dtype)
    if all(x.dtype == narrow for x in jax.tree.leaves(stacked)):
        return stacked, lambda weights: weights

    def of_layer(piece):
        stored, slots = piece
        return jax.tree.map(lambda x, slot: _cast(x, narrow) + slot, stored, slots)

    slots = jax.tree.map(lambda x: _slot(x, narrow), stacked)
    return (jax.lax.stop_gradient(stacked), slots), of_layer


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _slot(x: jax.Array, dtype) -> jax.Array:
    """Zeros in `dtype`, whose gradient is that of `x`. The compiler leaves them out."""
    return jnp.zeros(x.shape, dtype)


def _slot_forward(x, dtype):
    return _slot(x, dtype), jnp.zeros((), x.dtype)


def _slot_backward(dtype, like, gradient):
    return (gradient.astype(like.dtype),)


_slot.defvjp(_slot_forward, _slot_backward)


def _cast(x: jax.Array, dtype) -> jax.Array:
    wide, narrow = jnp.finfo(x.dtype), jnp.finfo(dtype)
    if wide.nexp == narrow.nexp and wide.nmant > narrow.nmant:
        # The same rounding, but nothing that the compiler would move out of a loop.
        x = jax.lax.reduce_precision(x, narrow.nexp, narrow.nmant)
    return x.astype(dtype)
