"""In which order a row's columns lie over the devices that share it.

A causal query's work grows with its place in the row. Cut into `context` equal pieces in order, the
last device would work as long as all of its row's others wait. So a row is cut into 2 `context`
chunks and device i has chunk i and chunk 2 `context` - 1 - i: work that adds up to the same.
"""

import jax
import jax.numpy as jnp
import numpy as np

from biomatrix_jax.errors import BadInput


def balanced_order(length: int, context: int) -> np.ndarray | None:
    """Which column of a row comes where: `row[balanced_order(...)]` is cut into equal pieces.

    Args:
      length: tokens of a row.
      context: devices that share it.

    Returns:
      int32 [length], or None for one device: the row as it is.

    Raises:
      BadInput: the row has no 2 `context` equal chunks.
    """
    if context == 1:
        return None
    if length % (2 * context):
        raise BadInput(
            f"a row of {length} tokens (data.row_length) is not a multiple of {2 * context}, twice "
            f"the mesh's context={context}: devices that share rows take two equal chunks of each"
        )
    chunks = np.arange(length, dtype=np.int32).reshape(2 * context, -1)
    return np.stack([chunks[:context], chunks[: -context - 1 : -1]], axis=1).ravel()


def in_row_order(x: jax.Array, context: int) -> jax.Array:
    """[B, length, ...] in `balanced_order` -> the same as the row has it."""
    b, length = x.shape[:2]
    x = x.reshape(b, context, 2, length // (2 * context), *x.shape[2:])
    chunks = jnp.concatenate([x[:, :, 0], x[:, ::-1, 1]], axis=1)
    return chunks.reshape(b, length, *x.shape[4:])
