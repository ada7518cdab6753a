"""Attention's contract, and the reference kernel that every other kernel is tested against."""

import jax
import jax.numpy as jnp

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


def reference_attention(
    q_btnh: jax.Array, k_bskh: jax.Array, v_bskh: jax.Array, mask_bts: jax.Array
) -> jax.Array:
    """Softmax(q k / sqrt(H)) v with grouped keys and values, softmax in float32.

    Query head n uses key/value head n // (N / K); the keys are never repeated in memory.

    Returns:
      [B, T, N, H] in the dtype of `q_btnh`.
    """
    b, t, n, h = q_btnh.shape
    k = k_bskh.shape[2]
    q_btkgh = q_btnh.reshape(b, t, k, n // k, h)
    logits = product("btkgh,bskh->bkgts", q_btkgh, k_bskh, dtype=jnp.float32)
    logits = logits * h**-0.5
    logits = jnp.where(mask_bts[:, None, None], logits, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(logits, axis=-1).astype(v_bskh.dtype)
    return product("bkgts,bskh->btkgh", weights, v_bskh).reshape(b, t, n, h)
