"""What every attention kernel computes, and what it is given.

A kernel is a function `attend(q_btnh, k_bskh, v_bskh, rows) -> [B, T, N, H]`, in the type of the
queries: softmax(q k / sqrt(H)) v over the keys that `Rows` lets a query see, the softmax in
float32. Query head n uses key/value head n // (N / K).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

# The name, for rematerialisation policies, under which a kernel's forward pass leaves what its
# backward pass needs of its own making: the output and the softmax's log-sum-exp.
SAVED = "attention"


class Rows(NamedTuple):
    """Which tokens the queries and the keys of packed rows are; all int32.

    A query sees the keys of its own segment at earlier or equal positions. Segment 0 is padding,
    which sees only padding, so no query sees nothing. Within a row the keys lie in order: segments
    each in one piece, positions increasing in it. Queries may lie in any order.
    """

    q_segments: jax.Array  # [B, T]
    q_positions: jax.Array  # [B, T]
    kv_segments: jax.Array  # [B, S]
    kv_positions: jax.Array  # [B, S]

    @classmethod
    def of_whole(cls, segments_bt: jax.Array, positions_bt: jax.Array) -> "Rows":
        """Every token is both query and key."""
        return cls(segments_bt, positions_bt, segments_bt, positions_bt)


Attend = Callable[[jax.Array, jax.Array, jax.Array, Rows], jax.Array]
