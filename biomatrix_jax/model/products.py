"""Matrix products in the precision that their type promises."""

import jax
import jax.numpy as jnp


def product(equation: str, a: jax.Array, b: jax.Array, dtype=None) -> jax.Array:
    """`einsum` of two arrays of one type.

    float32 means float32 on every device: left to itself JAX multiplies float32 in TensorFloat-32
    on recent GPUs and in bfloat16 passes on TPUs. Narrower types run as they are, accumulated in
    float32 by the hardware.

    Args:
      dtype: of the result; None: that of the operands.
    """
    precision = jax.lax.Precision.HIGHEST if a.dtype == jnp.float32 else None
    return jnp.einsum(equation, a, b, precision=precision, preferred_element_type=dtype)
