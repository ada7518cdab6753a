"""Packed rows for the tests of attention kernels, and the comparison with the reference."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from biomatrix_jax.model.attention import Rows, reference


def rows_of(documents: list[list[int]], length: int) -> Rows:
    """Whole rows of documents so long, and padding after them."""
    segments = np.zeros((len(documents), length), np.int32)
    positions = np.zeros_like(segments)
    for row, lengths in enumerate(documents):
        ends = np.cumsum(lengths, dtype=int)
        for i, (size, end) in enumerate(zip(lengths, ends, strict=True)):
            segments[row, end - size : end] = i + 1
            positions[row, end - size : end] = np.arange(size)
        filled = sum(lengths)
        positions[row, filled:] = np.arange(length - filled)
    return Rows.of_whole(jnp.asarray(segments), jnp.asarray(positions))


class Arrays(NamedTuple):
    q: jax.Array
    k: jax.Array
    v: jax.Array
    d_out: jax.Array

    def astype(self, dtype) -> "Arrays":
        return Arrays(*(x.astype(dtype) for x in self))


def arrays(rows: Rows, heads: int, kv_heads: int, head_dim: int) -> Arrays:
    """float32, of order one, with scores large enough for sharp weights."""
    b, t, s = *rows.q_segments.shape, rows.kv_segments.shape[1]
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = [(b, t, heads, head_dim), *[(b, s, kv_heads, head_dim)] * 2, (b, t, heads, head_dim)]
    return Arrays(*map(jax.random.normal, keys, shapes))


# Compiled quickly: what is computed is the same, to rounding.
@functools.partial(
    jax.jit, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0}
)
def with_gradients(attend, given: Arrays, rows: Rows):
    """The output, and the gradients to queries, keys and values."""
    out, back = jax.vjp(lambda q, k, v: attend(q, k, v, rows), *given[:3])
    return out, *back(given.d_out)


def assert_same(attend, given: Arrays, rows: Rows, tolerance: float = 1e-5) -> None:
    """float32: every number within `tolerance`, of numbers of order one."""
    ours, theirs = (with_gradients(f, given, rows) for f in (attend, reference.attend))
    for name, a, b in zip(("out", "dq", "dk", "dv"), ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


def assert_as_exact(attend, given: Arrays, rows: Rows) -> None:
    """bfloat16: no more than twice as far from float32 on the same numbers as the reference is.

    Root mean squares are compared. Once would be too strict for gradients: a blockwise backward
    pass has the softmax's mean from the rounded output and rounds the gradients of scores for the
    matrix units; the reference has both in float32.
    """
    rounded = given.astype(jnp.bfloat16)
    exact = with_gradients(reference.attend, rounded.astype(jnp.float32), rows)
    ours, theirs = (with_gradients(f, rounded, rows) for f in (attend, reference.attend))
    for name, a, b, x in zip(("out", "dq", "dk", "dv"), ours, theirs, exact, strict=True):
        assert a.dtype == jnp.bfloat16, name
        off, allowed = (float(jnp.sqrt(jnp.mean((y.astype(jnp.float32) - x) ** 2))) for y in (a, b))
        assert off <= 2 * allowed, f"{name}: {off} and the reference {allowed}"
        assert allowed < 0.01, f"{name}: the reference itself is {allowed} off"
