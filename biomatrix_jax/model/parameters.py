"""How a parameter is declared: once, with its shape, logical axes and initial distribution.

Abstract shapes, shardings, initial values, weight decay and the converter all read this one
declaration. Parameters keep the orientation of the Hugging Face files (output features first, input
features last), so that conversion reshapes and stacks and never transposes.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

INIT_STD = 0.02  # Qwen3's `initializer_range`


def parameter(
    rngs: nnx.Rngs,
    shape: tuple[int, ...],
    axes: tuple[str, ...],
    dtype: str,
    init: Literal["normal", "ones"] = "normal",
) -> nnx.Param:
    """Declares one parameter.

    Args:
      shape: sizes, the stacked layer axis first where there is one.
      axes: a logical axis name for each of `shape`, which `ShardingRules` maps to mesh axes.
      dtype: storage type.
      init: normal with standard deviation 0.02, or ones (norm scales).
    """
    if len(shape) != len(axes):
        raise ValueError(f"shape {shape} and logical axes {axes} differ in length")
    if init == "ones":
        value = jnp.ones(shape, dtype)
    else:
        value = (INIT_STD * jax.random.normal(rngs.params(), shape)).astype(dtype)
    return nnx.Param(value, axes=axes)
