"""GPU: a flash kernel that respects packed segments, and cuDNN's for rows that are not packed.

The flash kernel is written in Pallas for Triton, after Dao (arXiv:2307.08691). It masks by segment
and position, as the contract says; where queries lie as their keys do that is the same as causal by
column. A program visits the blocks between the first and the last that it needs, which leaves out
what the causal mask hides and every other document, and masks only those that are not seen whole.
Query heads that share a key head read the same blocks of it.

cuDNN tells packed documents apart by a bias for every pair of tokens, or by a layout that
`jax.nn.dot_product_attention` does not offer. So it is given no segments, and refuses them.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

from biomatrix_jax.errors import BadInput
from biomatrix_jax.model.attention import blocks, gpu_kernels
from biomatrix_jax.model.attention.contract import SAVED, Rows

_SMALLEST = 16  # side of what a GPU's matrix units multiply


@dataclasses.dataclass(frozen=True)
class Tile:
    """How one kernel cuts rows; powers of two."""

    queries: int
    keys: int
    warps: int  # of 32 threads each, that share a program
    stages: int  # blocks in flight from memory


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Of the forward pass, and of the backward passes to the queries and to keys and values."""

    forward: Tile
    to_queries: Tile
    to_keys: Tile

    @property
    def queries(self) -> int:
        """Rows of queries are filled up to a multiple of this."""
        return max(self.forward.queries, self.to_queries.queries, self.to_keys.queries)

    @property
    def keys(self) -> int:
        return max(self.forward.keys, self.to_queries.keys, self.to_keys.keys)


def tiles(head_dim: int, dtype) -> Tiles:
    """For an H100, by what its compiler makes of them; never measured on one.

    With heads of 128 in bfloat16 the three kernels take 192, 198 and 235 registers a thread, of
    255, spill none, and multiply on the matrix units (wgmma); ptxas 12.9, sm_90a.
    """
    if jnp.dtype(dtype).itemsize > 2:  # the matrix units do not multiply float32
        return Tiles(Tile(32, 32, 8, 1), Tile(16, 32, 8, 1), Tile(16, 32, 8, 1))
    if head_dim <= 64:
        return Tiles(Tile(128, 64, 4, 3), Tile(128, 64, 8, 3), Tile(64, 128, 8, 3))
    if head_dim <= 128:
        return Tiles(Tile(128, 64, 8, 3), Tile(128, 64, 8, 3), Tile(32, 128, 8, 3))
    return Tiles(Tile(64, 32, 8, 2), Tile(64, 32, 8, 2), Tile(32, 64, 8, 2))


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def flash(
    q_btnh: jax.Array,
    k_bskh: jax.Array,
    v_bskh: jax.Array,
    rows: Rows,
    sizes: Tiles | None = None,
    interpret: bool = False,
) -> jax.Array:
    """The contract's kernel, on a GPU; right with keys in any order too.

    Lengths that the tiles do not divide, and heads that are no power of two, are filled up.

    Args:
      sizes: None: what `tiles` says.
      interpret: run without a GPU, very slowly.
    """
    return _forward(q_btnh, k_bskh, v_bskh, rows, sizes, interpret)[0]


def _forward(q_btnh, k_bskh, v_bskh, rows, sizes, interpret):
    sizes = sizes or tiles(q_btnh.shape[-1], q_btnh.dtype)
    out_btnh, log_sum_bnt = _output(q_btnh, k_bskh, v_bskh, rows, sizes, interpret)
    out_btnh = checkpoint_name(out_btnh, SAVED)
    log_sum_bnt = checkpoint_name(log_sum_bnt, SAVED)
    return out_btnh, (q_btnh, k_bskh, v_bskh, rows, out_btnh, log_sum_bnt)


# Compiled on its own because JAX does not drop a Pallas call that nobody needs, as with `SAVED`.
@functools.partial(jax.jit, static_argnums=(4, 5))
def _output(q_btnh, k_bskh, v_bskh, rows, sizes, interpret):
    q, k, v, filled = _filled(q_btnh, k_bskh, v_bskh, rows, sizes)
    b, t, n, _ = q.shape
    tile = sizes.forward
    specs = _query_blocks(q, k, tile.queries)
    spans, _ = blocks.spans(filled, tile.queries, tile.keys)
    out, log_sum_bnt = pl.pallas_call(
        functools.partial(gpu_kernels.forward, keys=tile.keys, scale=q_btnh.shape[-1] ** -0.5),
        grid=specs.grid,
        in_specs=specs.of_forward,
        out_specs=[specs.queries, specs.numbers],
        out_shape=[_like(q), jax.ShapeDtypeStruct((b, n, t), jnp.float32)],
        **_options("forward", tile, interpret),
    )(spans, *filled, q, k, v)
    return out[:, : q_btnh.shape[1], :, : q_btnh.shape[3]], log_sum_bnt


def _backward(sizes, interpret, saved, d_out_btnh):
    q_btnh, k_bskh, v_bskh, rows, out_btnh, log_sum_bnt = saved
    sizes = sizes or tiles(q_btnh.shape[-1], q_btnh.dtype)
    q, k, v, filled = _filled(q_btnh, k_bskh, v_bskh, rows, sizes)
    d_out = _fill(d_out_btnh, *q.shape[1::2])
    # What the softmax takes off the gradient of each of a query's scores.
    mean_btn = (d_out_btnh.astype(jnp.float32) * out_btnh.astype(jnp.float32)).sum(-1)
    mean_bnt = jnp.pad(mean_btn, ((0, 0), (0, q.shape[1] - mean_btn.shape[1]), (0, 0))).mT
    given = (*filled, q, k, v, d_out, log_sum_bnt, mean_bnt)
    scale = q_btnh.shape[-1] ** -0.5

    tile = sizes.to_queries
    specs = _query_blocks(q, k, tile.queries)
    spans, _ = blocks.spans(filled, tile.queries, tile.keys)
    dq = pl.pallas_call(
        functools.partial(gpu_kernels.to_queries, keys=tile.keys, scale=scale),
        grid=specs.grid,
        in_specs=specs.of_backward,
        out_specs=specs.queries,
        out_shape=_like(q),
        **_options("to_queries", tile, interpret),
    )(spans, *given)

    tile = sizes.to_keys
    specs = _key_blocks(q, k, tile.keys)
    _, spans = blocks.spans(filled, tile.queries, tile.keys)
    dk, dv = pl.pallas_call(
        functools.partial(gpu_kernels.to_keys, queries=tile.queries, scale=scale),
        grid=specs.grid,
        in_specs=specs.of_backward,
        out_specs=[specs.keys, specs.keys],
        out_shape=[_like(k), _like(v)],
        **_options("to_keys", tile, interpret),
    )(spans, *given)
    (t, _, h), s = q_btnh.shape[1:], k_bskh.shape[1]
    return dq[:, :t, :, :h], dk[:, :s, :, :h], dv[:, :s, :, :h], None


flash.defvjp(_forward, _backward)


class _Specs(NamedTuple):
    """Which part of each array a program has."""

    grid: tuple[int, int, int]
    rows: list[pl.BlockSpec]  # of the spans and of what `Rows` holds
    queries: pl.BlockSpec  # [B, T, N, H]
    keys: pl.BlockSpec  # [B, S, K, H]
    numbers: pl.BlockSpec  # one of a query, [B, N, T]

    @property
    def of_forward(self) -> list[pl.BlockSpec]:
        return [*self.rows, self.queries, self.keys, self.keys]

    @property
    def of_backward(self) -> list[pl.BlockSpec]:
        return [*self.of_forward, self.queries, self.numbers, self.numbers]


def _query_blocks(q: jax.Array, k: jax.Array, block: int) -> _Specs:
    """A program for each block of queries of a row and a head."""
    (b, t, n, h), (_, s, kv_heads, _) = q.shape, k.shape
    group, count = n // kv_heads, t // block

    def at(i):
        return count - 1 - i  # the last ones see most: begun first, they do not end alone

    own = pl.BlockSpec((None, block), lambda i, n, b: (b, at(i)))
    whole = pl.BlockSpec((None, s), lambda i, n, b: (b, 0))
    return _Specs(
        grid=(count, n, b),
        rows=[pl.BlockSpec((None, None, 4), lambda i, n, b: (b, at(i), 0)), own, own, whole, whole],
        queries=pl.BlockSpec((None, block, None, h), lambda i, n, b: (b, at(i), n, 0)),
        keys=pl.BlockSpec((None, s, None, h), lambda i, n, b: (b, 0, jax.lax.div(n, group), 0)),
        numbers=pl.BlockSpec((None, None, block), lambda i, n, b: (b, n, at(i))),
    )


def _key_blocks(q: jax.Array, k: jax.Array, block: int) -> _Specs:
    """A program for each block of keys of a row and a key head."""
    (b, t, n, h), (_, s, kv_heads, _) = q.shape, k.shape
    group = n // kv_heads
    own = pl.BlockSpec((None, block), lambda j, k, b: (b, j))
    whole = pl.BlockSpec((None, t), lambda j, k, b: (b, 0))
    return _Specs(
        grid=(s // block, kv_heads, b),
        rows=[pl.BlockSpec((None, None, 4), lambda j, k, b: (b, j, 0)), whole, whole, own, own],
        queries=pl.BlockSpec((None, t, group, h), lambda j, k, b: (b, 0, k, 0)),
        keys=pl.BlockSpec((None, block, None, h), lambda j, k, b: (b, j, k, 0)),
        numbers=pl.BlockSpec((None, group, t), lambda j, k, b: (b, k, 0)),
    )


def _options(name: str, tile: Tile, interpret: bool) -> dict:
    parameters = plgpu.CompilerParams(num_warps=tile.warps, num_stages=tile.stages)
    return {"name": f"flash_{name}", "compiler_params": parameters, "interpret": interpret}


def _filled(q_btnh, k_bskh, v_bskh, rows: Rows, sizes: Tiles):
    """All of them in lengths and head sizes that the kernels' tiles divide."""
    t, s = q_btnh.shape[1], k_bskh.shape[1]
    t, s = pl.cdiv(t, sizes.queries) * sizes.queries, pl.cdiv(s, sizes.keys) * sizes.keys
    h = max(pl.next_power_of_2(q_btnh.shape[-1]), _SMALLEST)
    return _fill(q_btnh, t, h), _fill(k_bskh, s, h), _fill(v_bskh, s, h), blocks.padded(rows, t, s)


def _fill(x: jax.Array, length: int, head_dim: int) -> jax.Array:
    more = length - x.shape[1], head_dim - x.shape[3]
    return jnp.pad(x, ((0, 0), (0, more[0]), (0, 0), (0, more[1])))


def _like(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def cudnn(
    q_btnh: jax.Array, k_bskh: jax.Array, v_bskh: jax.Array, rows: Rows | None = None
) -> jax.Array:
    """cuDNN's flash attention, for rows of one document each that fills its row.

    Args:
      rows: None: it has no place for them.

    Raises:
      BadInput: there are `rows`; more or fewer keys than queries; or float32, which it does not do.
    """
    if rows is not None:
        raise BadInput(
            "attention kernel 'cudnn' cannot keep the documents of packed rows apart: choose "
            "'flash', which can, or give rows without segments"
        )
    if q_btnh.shape[1] != k_bskh.shape[1]:
        raise BadInput(
            f"attention kernel 'cudnn' is for as many queries as keys, not {q_btnh.shape[1]} and "
            f"{k_bskh.shape[1]}: choose 'flash'"
        )
    if q_btnh.dtype not in (jnp.bfloat16, jnp.float16):
        raise BadInput(
            f"attention kernel 'cudnn' is for bfloat16 and float16, not {q_btnh.dtype}: choose "
            "'flash', or compute.dtype=bfloat16"
        )
    return jax.nn.dot_product_attention(
        q_btnh, k_bskh, v_bskh, is_causal=True, implementation="cudnn"
    )
