"""Which blocks of keys the blocks of queries need: what a blockwise kernel can skip."""

import jax
import jax.numpy as jnp

from biomatrix_jax.model.attention.contract import Rows

_LAST = jnp.iinfo(jnp.int32).max
NO_QUERY, NO_KEY = (
    -1,
    -2,
)  # segments of what only fills up a block: nobody sees them, nor they others


def padded(rows: Rows, queries: int, keys: int) -> Rows:
    """Rows filled up to so many queries and keys with some that see nothing and nobody sees."""

    def fill(x, length, value):
        return jnp.pad(x, ((0, 0), (0, length - x.shape[1])), constant_values=value)

    return Rows(
        fill(rows.q_segments, queries, NO_QUERY),
        fill(rows.q_positions, queries, 0),
        fill(rows.kv_segments, keys, NO_KEY),
        fill(rows.kv_positions, keys, 0),
    )


def visible(rows: Rows, q_block: int, kv_block: int) -> jax.Array:
    """Whether a query of a block may see a key of a block.

    Tokens are ordered by segment, then position, padding last; a query sees no later one and none
    of an earlier segment, so comparing the ends of two blocks is enough. Never False where a key is
    seen, whatever the order of the tokens; exact, but at padding, for packed rows whose segments
    are numbered upwards.

    Args:
      rows: of lengths T and S that the blocks divide.

    Returns:
      bool [B, T / q_block, S / kv_block].
    """
    q_segments, kv_segments = (
        _in_blocks(rows.q_segments, q_block),
        _in_blocks(rows.kv_segments, kv_block),
    )
    q_segments, kv_segments = _padding_last(q_segments), _padding_last(kv_segments)
    q_positions = _in_blocks(rows.q_positions, q_block)
    kv_positions = _in_blocks(rows.kv_positions, kv_block)
    q_top, kv_bottom = q_segments.max(-1), kv_segments.min(-1)
    q_reach = jnp.where(q_segments == q_top[..., None], q_positions, -1).max(-1)
    kv_start = jnp.where(kv_segments == kv_bottom[..., None], kv_positions, _LAST).min(-1)
    q_top, q_reach, q_bottom = (x[:, :, None] for x in (q_top, q_reach, q_segments.min(-1)))
    kv_bottom, kv_start, kv_top = (x[:, None] for x in (kv_bottom, kv_start, kv_segments.max(-1)))
    not_later = (kv_bottom < q_top) | ((kv_bottom == q_top) & (kv_start <= q_reach))
    return not_later & (kv_top >= q_bottom)


def spans(needed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The first True along the last axis, and one past the last; 0 and 0 where there is none."""
    count = needed.shape[-1]
    index = jnp.arange(count, dtype=jnp.int32)
    first = jnp.where(needed, index, count).min(-1)
    end = jnp.where(needed, index + 1, 0).max(-1)
    return jnp.minimum(first, end), end


def _in_blocks(x: jax.Array, block: int) -> jax.Array:
    return x.reshape(x.shape[0], -1, block)


def _padding_last(segments: jax.Array) -> jax.Array:
    return jnp.where(segments > 0, segments, _LAST)
