"""Attention in blocks, in plain products: for any device, without all scores at once.

Queries and keys are cut into blocks. At offset d every query block i meets key block i - d, all at
once; from one offset to the next the keys step past the queries by a block, so that queries sharded
over their length stay where they are. Packed rows need only as many offsets as their longest
document has blocks, and no others are visited. The softmax is put together block by block (Milakov
and Gimelshein, arXiv:1805.02867); the backward pass makes the scores again from their log-sum-exp
(Dao et al., arXiv:2205.14135).

Shapes in here: n blocks of q queries in G groups for each of K key heads, m blocks of c keys.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from biomatrix_jax.model.attention import blocks
from biomatrix_jax.model.attention.contract import SAVED, Rows
from biomatrix_jax.model.products import product

# Keys of a block. Small blocks follow short documents closely; with large ones the accumulators,
# read and written at every offset, cost little beside the scores.
LARGEST_BLOCK = 256
SMALLEST_BLOCK = 8
MOST_BLOCKS = 16  # while blocks may grow

_LOWEST = jnp.finfo(jnp.float32).min


@jax.custom_vjp
def attend(q_btnh: jax.Array, k_bskh: jax.Array, v_bskh: jax.Array, rows: Rows) -> jax.Array:
    """The contract's kernel, with keys in any order; grouped keys are never repeated in memory.

    Memory for float32 scores: 4 B N T min(S, LARGEST_BLOCK) bytes. One document as long as its row
    costs the reference's operations: blocks that only the causal mask hides are computed too.
    Queries that are several pieces of a row also visit the offsets between those of the pieces.
    """
    return _forward(q_btnh, k_bskh, v_bskh, rows)[0]


def _forward(q_btnh, k_bskh, v_bskh, rows):
    cut = _Cut.of(q_btnh, k_bskh)
    queries, keys, (_, offsets) = _meeting(cut, q_btnh, k_bskh, v_bskh, rows)

    def meet(_, state):
        keys, out, top, total = state
        k, v, mask = _met(queries, keys)
        scores = _scores(queries, k, mask)
        new_top = jnp.maximum(top, scores.max(-1, keepdims=True))
        weights = jnp.where(mask, jnp.exp(scores - new_top), 0)
        shrink = jnp.exp(top - new_top)
        total = total * shrink + weights.sum(-1, keepdims=True)
        out = out * shrink + _product("bkngqc,bknch->bkngqh", weights.astype(v.dtype), v)
        return _step(keys), out, new_top, total

    out = jnp.zeros(queries.q.shape, jnp.float32)
    total = jnp.zeros((*out.shape[:-1], 1), jnp.float32)
    start = keys, out, total + _LOWEST, total
    _, out, top, total = jax.lax.fori_loop(0, offsets, meet, start)
    total = jnp.where(total > 0, total, 1)  # of what only fills up a block of queries
    out_btnh = checkpoint_name(cut.join_queries(out / total).astype(q_btnh.dtype), SAVED)
    log_sum_btn1 = checkpoint_name(cut.join_queries(top + jnp.log(total)), SAVED)
    return out_btnh, (q_btnh, k_bskh, v_bskh, rows, out_btnh, log_sum_btn1)


def _backward(saved, d_out_btnh):
    q_btnh, k_bskh, v_bskh, rows, out_btnh, log_sum_btn1 = saved
    cut = _Cut.of(q_btnh, k_bskh)
    queries, keys, (first, offsets) = _meeting(cut, q_btnh, k_bskh, v_bskh, rows)
    d_out, log_sum = cut.queries(d_out_btnh), cut.queries(log_sum_btn1)
    # What the softmax takes off the gradient of each of a query's scores.
    mean = d_out_btnh.astype(jnp.float32) * out_btnh.astype(jnp.float32)
    mean = cut.queries(mean.sum(-1, keepdims=True))
    scale = q_btnh.shape[-1] ** -0.5

    def meet(_, state):
        keys, dk, dv, dq = state
        k, v, mask = _met(queries, keys)
        weights = jnp.where(mask, jnp.exp(_scores(queries, k, mask) - log_sum), 0)
        d_weights = _product("bkngqh,bknch->bkngqc", d_out, v)
        d_scores = (weights * (d_weights - mean) * scale).astype(k.dtype)
        dq += _product("bkngqc,bknch->bkngqh", d_scores, k)
        dk = _add(dk, _product("bkngqc,bkngqh->bknch", d_scores, queries.q))
        dv = _add(dv, _product("bkngqc,bkngqh->bknch", weights.astype(v.dtype), d_out))
        return _step(keys), _step(dk), _step(dv), dq  # gradients step along with their keys

    zeros = jnp.zeros(keys.k.shape, jnp.float32)
    start = keys, zeros, zeros, jnp.zeros(queries.q.shape, jnp.float32)
    _, dk, dv, dq = jax.lax.fori_loop(0, offsets, meet, start)
    dk, dv = (cut.join_keys(_turn(x, -(first + offsets))) for x in (dk, dv))
    dq = cut.join_queries(dq).astype(q_btnh.dtype)
    return dq, dk.astype(k_bskh.dtype), dv.astype(v_bskh.dtype), None


attend.defvjp(_forward, _backward)


class _Queries(NamedTuple):
    q: jax.Array  # [B, K, n, G, q, H]
    segments: jax.Array  # [B, n, q]
    positions: jax.Array


class _Keys(NamedTuple):
    """At offset d, place i of axis 1 or 2 holds block i - d modulo m."""

    k: jax.Array  # [B, K, m, c, H]
    v: jax.Array
    segments: jax.Array  # [B, 1, m, c]
    positions: jax.Array


@dataclasses.dataclass(frozen=True)
class _Cut:
    """How queries and keys are cut into blocks."""

    length: int  # of queries
    keys_length: int
    q_block: int
    kv_block: int
    q_blocks: int
    kv_blocks: int  # as many as of queries, or more
    kv_heads: int

    @classmethod
    def of(cls, q_btnh: jax.Array, k_bskh: jax.Array) -> "_Cut":
        t, s = q_btnh.shape[1], k_bskh.shape[1]
        kv_block = SMALLEST_BLOCK
        while kv_block < LARGEST_BLOCK and kv_block * MOST_BLOCKS < s:
            kv_block *= 2
        q_block = min(kv_block, t)
        q_blocks = -(-t // q_block)
        kv_blocks = max(-(-s // kv_block), q_blocks)
        return cls(t, s, q_block, kv_block, q_blocks, kv_blocks, k_bskh.shape[2])

    def queries(self, x_btnh: jax.Array) -> jax.Array:
        """[B, T, N, H] -> [B, K, n, G, q, H]."""
        b, h = x_btnh.shape[0], x_btnh.shape[-1]
        x = _lengthen(x_btnh, self.q_blocks * self.q_block)
        x = x.reshape(b, self.q_blocks, self.q_block, self.kv_heads, -1, h)
        return x.transpose(0, 3, 1, 4, 2, 5)

    def join_queries(self, x: jax.Array) -> jax.Array:
        """[B, K, n, G, q, H] -> [B, T, N, H]."""
        b, h = x.shape[0], x.shape[-1]
        x = x.transpose(0, 2, 4, 1, 3, 5).reshape(b, self.q_blocks * self.q_block, -1, h)
        return x[:, : self.length]

    def keys(self, x_bskh: jax.Array) -> jax.Array:
        """[B, S, K, H] -> [B, K, m, c, H]."""
        b, _, k, h = x_bskh.shape
        x = _lengthen(x_bskh, self.kv_blocks * self.kv_block)
        return x.reshape(b, self.kv_blocks, self.kv_block, k, h).transpose(0, 3, 1, 2, 4)

    def join_keys(self, x: jax.Array) -> jax.Array:
        """[B, K, m, c, H] -> [B, S, K, H]."""
        b, k, _, _, h = x.shape
        x = x.transpose(0, 2, 3, 1, 4).reshape(b, self.kv_blocks * self.kv_block, k, h)
        return x[:, : self.keys_length]


def _meeting(cut: _Cut, q_btnh, k_bskh, v_bskh, rows: Rows):
    """Queries, keys as they stand at the first offset, and (that offset, how many follow)."""
    rows = blocks.padded(rows, cut.q_blocks * cut.q_block, cut.kv_blocks * cut.kv_block)
    b = q_btnh.shape[0]
    of_queries = (x.reshape(b, cut.q_blocks, cut.q_block) for x in rows[:2])
    of_keys = (x.reshape(b, 1, cut.kv_blocks, cut.kv_block) for x in rows[2:])
    keys = _Keys(cut.keys(k_bskh), cut.keys(v_bskh), *of_keys)

    needed = blocks.visible(rows, cut.q_block, cut.kv_block)[0].any(0)
    offset = jnp.arange(cut.q_blocks)[:, None] - jnp.arange(cut.kv_blocks)
    first = jnp.where(needed, offset, cut.q_blocks).min()
    last = jnp.where(needed, offset, -cut.kv_blocks).max()
    # m offsets in a row let everybody meet everybody once.
    offsets = jnp.clip(last - first + 1, 0, cut.kv_blocks)
    keys = _Keys(*(_turn(x, first) for x in keys))
    return _Queries(cut.queries(q_btnh), *of_queries), keys, (first, offsets)


def _met(queries: _Queries, keys: _Keys):
    """The keys and values beside the query blocks, and the mask, [B, 1, n, 1, q, c]."""
    n = queries.q.shape[2]
    k, v, segments, positions = (x[:, :, :n] for x in keys)
    same = queries.segments[..., None] == segments[:, 0, :, None]
    causal = queries.positions[..., None] >= positions[:, 0, :, None]
    return k, v, (same & causal)[:, None, :, None]


def _scores(queries: _Queries, k: jax.Array, mask: jax.Array) -> jax.Array:
    scores = _product("bkngqh,bknch->bkngqc", queries.q, k) * k.shape[-1] ** -0.5
    return jnp.where(mask, scores, _LOWEST)


def _product(equation: str, a: jax.Array, b: jax.Array) -> jax.Array:
    return product(equation, a, b, dtype=jnp.float32)


def _step(keys):
    return jax.tree.map(lambda x: jnp.roll(x, 1, axis=2), keys)


def _turn(x: jax.Array, places: jax.Array) -> jax.Array:
    """`_step` so many times."""
    m = x.shape[2]
    return jnp.take(x, (jnp.arange(m) - places) % m, axis=2)


def _add(x: jax.Array, y: jax.Array) -> jax.Array:
    """To the first places of axis 2, which is all of them where queries are as long as keys."""
    n = y.shape[2]
    return x + y if n == x.shape[2] else x.at[:, :, :n].add(y)


def _lengthen(x: jax.Array, length: int) -> jax.Array:
    return jnp.pad(x, ((0, 0), (0, length - x.shape[1]), *[(0, 0)] * (x.ndim - 2)))
