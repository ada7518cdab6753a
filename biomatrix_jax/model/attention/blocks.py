"""Which blocks of keys the blocks of queries need: what a blockwise kernel can leave out."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from biomatrix_jax.model.attention.contract import Rows

_LAST = jnp.iinfo(jnp.int32).max
_NO_QUERY, _NO_KEY = -1, -2  # segments of what only fills up a block


def padded(rows: Rows, queries: int, keys: int) -> Rows:
    """Rows filled up to so many queries and keys with some that see nothing and nobody sees."""

    def fill(x, length, value):
        return jnp.pad(x, ((0, 0), (0, length - x.shape[1])), constant_values=value)

    return Rows(
        fill(rows.q_segments, queries, _NO_QUERY),
        fill(rows.q_positions, queries, 0),
        fill(rows.kv_segments, keys, _NO_KEY),
        fill(rows.kv_positions, keys, 0),
    )


def visible(rows: Rows, q_block: int, kv_block: int) -> tuple[jax.Array, jax.Array]:
    """Whether a block of queries sees anything of a block of keys, and whether it sees it whole.

    Tokens are ordered by segment, then position, padding last. A query sees no later one and none
    of an earlier segment, so comparing the ends of two blocks is enough. The first answer is never
    False where a key is seen, whatever the order of the tokens, and exact, but at padding, for
    packed rows whose segments are numbered upwards. The second is always exact.

    Args:
      rows: of lengths T and S that the blocks divide.

    Returns:
      Two bool [B, T / q_block, S / kv_block].
    """
    q = _Ends(*(x[:, :, None] for x in _ends(rows.q_segments, rows.q_positions, q_block)))
    kv = _Ends(*(x[:, None] for x in _ends(rows.kv_segments, rows.kv_positions, kv_block)))
    later = (kv.first > q.last) | ((kv.first == q.last) & (kv.from_position > q.to_position))
    some = ~later & (kv.last >= q.first)
    one_segment = (q.lowest == q.highest) & (kv.lowest == kv.highest) & (q.lowest == kv.lowest)
    return some, one_segment & (q.earliest >= kv.latest)


def spans(rows: Rows, q_block: int, kv_block: int) -> tuple[jax.Array, jax.Array]:
    """The blocks of keys that each block of queries visits, and the other way round.

    Returns:
      int32 [B, T / q_block, 4] and [B, S / kv_block, 4]: the first block needed, the first that is
      seen whole, the first after that which is not, and the end of those needed.
    """
    some, whole = visible(rows, q_block, kv_block)
    return _spans(some, whole), _spans(some.mT, whole.mT)


def _spans(some: jax.Array, whole: jax.Array) -> jax.Array:
    first, end = _span(some)
    whole_first, whole_end = _span(whole)
    in_one_piece = whole.sum(-1) == whole_end - whole_first
    use = in_one_piece & whole.any(-1)  # otherwise everything is masked, which is right as well
    return jnp.stack(
        [first, jnp.where(use, whole_first, end), jnp.where(use, whole_end, end), end], axis=-1
    )


def _span(marked: jax.Array) -> tuple[jax.Array, jax.Array]:
    """int32: the first True along the last axis, and one past the last; 0 and 0 without any."""
    index = jnp.arange(marked.shape[-1], dtype=jnp.int32)
    end = jnp.where(marked, index + 1, 0).max(-1)
    return jnp.where(marked, index, end[..., None]).min(-1), end


class _Ends(NamedTuple):
    """Of each block, int32 [B, blocks]."""

    first: jax.Array  # its first segment, padding being the last
    from_position: jax.Array  # of that segment
    last: jax.Array
    to_position: jax.Array
    lowest: jax.Array  # segment by number
    highest: jax.Array
    earliest: jax.Array  # position of any segment
    latest: jax.Array


def _ends(segments: jax.Array, positions: jax.Array, block: int) -> _Ends:
    segments, positions = (x.reshape(len(x), -1, block) for x in (segments, positions))
    order = jnp.where(segments > 0, segments, _LAST)
    first, last = order.min(-1), order.max(-1)
    return _Ends(
        first,
        jnp.where(order == first[..., None], positions, _LAST).min(-1),
        last,
        jnp.where(order == last[..., None], positions, -1).max(-1),
        segments.min(-1),
        segments.max(-1),
        positions.min(-1),
        positions.max(-1),
    )
