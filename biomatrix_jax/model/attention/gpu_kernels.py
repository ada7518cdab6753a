"""What one program of the GPU's flash kernel does, in Pallas for Triton.

References here are of one row and one head: queries [q, H] are a block, [T, G, H] a whole row's of
the heads of a group; keys likewise. `spans` are the four limits of `blocks.spans`.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

_LOWEST = float(jnp.finfo(jnp.float32).min)
_LOG2_E = 1.4426950408889634  # a GPU has 2^x: scores are in units of log 2 here


def forward(spans, q_ids, q_at, k_ids, k_at, q, k, v, out, log_sum, *, keys: int, scale: float):
    """Block of queries -> its output, and the log2 of the sum of its 2^scores."""
    queries = q[...]
    q_mask = q_ids[...], q_at[...]

    def meet(j, state, masked):
        total_out, top, total = state
        columns = pl.ds(j * keys, keys)
        scores = _times_transposed(queries, k[columns, :]) * (scale * _LOG2_E)
        if masked:
            mask = _mask(*q_mask, k_ids[columns], k_at[columns])
            scores = jnp.where(mask, scores, _LOWEST)
        new_top = jnp.maximum(top, scores.max(1))
        # Until a query has seen a key this counts what is masked; the first that it sees then
        # shrinks that to nothing.
        weights = jnp.exp2(scores - new_top[:, None])
        shrink = jnp.exp2(top - new_top)
        values = v[columns, :]
        total_out = total_out * shrink[:, None] + _times(weights.astype(values.dtype), values)
        return total_out, new_top, total * shrink + weights.sum(1)

    zeros = jnp.zeros(queries.shape, jnp.float32), jnp.zeros(queries.shape[:1], jnp.float32)
    total_out, top, total = _visit(spans, meet, (zeros[0], zeros[1] + _LOWEST, zeros[1]))
    total = jnp.where(total > 0, total, 1)  # where nothing is needed: in rows' filling
    out[...] = (total_out / total[:, None]).astype(out.dtype)
    log_sum[...] = top + jnp.log2(total)


def to_queries(
    spans, q_ids, q_at, k_ids, k_at, q, k, v, d_out, log_sum, mean, dq, *, keys: int, scale: float
):
    """Block of queries -> its gradient."""
    queries, d_outs = q[...], d_out[...]
    q_mask, log_sums, means = (q_ids[...], q_at[...]), log_sum[...], mean[...]

    def meet(j, total, masked):
        columns = pl.ds(j * keys, keys)
        key = k[columns, :]
        scores = _times_transposed(queries, key) * (scale * _LOG2_E)
        weights = jnp.exp2(scores - log_sums[:, None])
        if masked:
            weights = jnp.where(_mask(*q_mask, k_ids[columns], k_at[columns]), weights, 0.0)
        d_weights = _times_transposed(d_outs, v[columns, :])
        d_scores = weights * (d_weights - means[:, None])
        return total + _times(d_scores.astype(key.dtype), key)

    total = _visit(spans, meet, jnp.zeros(queries.shape, jnp.float32))
    dq[...] = (total * scale).astype(dq.dtype)


def to_keys(
    spans, q_ids, q_at, k_ids, k_at, q, k, v, d_out, log_sum, mean, dk, dv, *, queries: int,
    scale: float,
):  # fmt: skip
    """Block of keys -> its gradient and that of its values, from all heads of the group."""
    key, value = k[...], v[...]
    k_mask = k_ids[...], k_at[...]

    def meet(i, totals, masked, head):
        total_k, total_v = totals
        columns = pl.ds(i * queries, queries)
        query, d_outs = q[columns, head, :], d_out[columns, head, :]
        scores = _times_transposed(key, query) * (scale * _LOG2_E)  # [keys, queries]
        weights = jnp.exp2(scores - log_sum[head, columns][None])
        if masked:
            mask = _mask(q_ids[columns], q_at[columns], *k_mask, keys_first=True)
            weights = jnp.where(mask, weights, 0.0)
        total_v += _times(weights.astype(d_outs.dtype), d_outs)
        d_weights = _times_transposed(value, d_outs)
        d_scores = weights * (d_weights - mean[head, columns][None])
        return total_k + _times(d_scores.astype(query.dtype), query), total_v

    def of_head(head, totals):
        return _visit(spans, functools.partial(meet, head=head), totals)

    zeros = jnp.zeros(key.shape, jnp.float32)
    total_k, total_v = jax.lax.fori_loop(0, q.shape[1], of_head, (zeros, zeros))
    dk[...] = (total_k * scale).astype(dk.dtype)
    dv[...] = total_v.astype(dv.dtype)


def _visit(spans, meet, state):
    """Meets the blocks that are needed, those in the middle without a mask."""
    first, whole, end_of_whole, end = (spans[i] for i in range(4))
    masked, unmasked = (functools.partial(meet, masked=masked) for masked in (True, False))
    state = jax.lax.fori_loop(first, whole, masked, state)
    state = jax.lax.fori_loop(whole, end_of_whole, unmasked, state)
    return jax.lax.fori_loop(end_of_whole, end, masked, state)


def _mask(q_ids, q_at, k_ids, k_at, keys_first=False):
    q_ids, q_at = (x[None] if keys_first else x[:, None] for x in (q_ids, q_at))
    k_ids, k_at = (x[:, None] if keys_first else x[None] for x in (k_ids, k_at))
    return (q_ids == k_ids) & (q_at >= k_at)


def _times(a, b):
    return _product(a, b, ((1,), (0,)))


def _times_transposed(a, b):
    return _product(a, b, ((1,), (1,)))


def _product(a, b, contracted):
    """As `products.product`, in the one form that Triton has."""
    precision = jax.lax.Precision.HIGHEST if a.dtype == jnp.float32 else None
    return jax.lax.dot_general(
        a, b, (contracted, ((), ())), precision=precision, preferred_element_type=jnp.float32
    )
