"""The reference kernel: all scores at once, in plain products. Others are tested against it."""

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from biomatrix_jax.model.attention.contract import SAVED, Rows
from biomatrix_jax.model.products import product


def attention_mask(
    q_segments: jax.Array, q_positions: jax.Array, kv_segments: jax.Array, kv_positions: jax.Array
) -> jax.Array:
    """Who may look at whom: earlier or equal positions of the same segment.

    Segment 0 is padding. A padding query sees padding keys only, so its row is never empty and its
    output is finite (and unused).

    Args:
      q_segments, q_positions: int32 [B, T].
      kv_segments, kv_positions: int32 [B, S].

    Returns:
      bool [B, T, S].
    """
    same = q_segments[:, :, None] == kv_segments[:, None, :]
    causal = q_positions[:, :, None] >= kv_positions[:, None, :]
    return same & causal


def attend(q_btnh: jax.Array, k_bskh: jax.Array, v_bskh: jax.Array, rows: Rows) -> jax.Array:
    """The contract's kernel, with keys in any order; grouped keys are never repeated in memory.

    Memory for float32 scores: 4 B N T S bytes.
    """
    b, t, n, h = q_btnh.shape
    k = k_bskh.shape[2]
    q_btkgh = q_btnh.reshape(b, t, k, n // k, h)
    logits = product("btkgh,bskh->bkgts", q_btkgh, k_bskh, dtype=jnp.float32)
    logits = logits * h**-0.5
    mask_bts = attention_mask(*rows)
    logits = jnp.where(mask_bts[:, None, None], logits, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(v_bskh.dtype)
    out_btnh = product("bkgts,bskh->btkgh", weights, v_bskh).reshape(b, t, n, h)
    return checkpoint_name(out_btnh, SAVED)
