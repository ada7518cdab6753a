"""TPU: JAX's splash attention, which skips what the causal mask hides and never has the scores.

Segments are its own; keys are not repeated for the query heads that share them. It multiplies as
the TPU does by default, so float32 products are rounded to bfloat16.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_kernel,
    splash_attention_mask,
)

from biomatrix_jax.model.attention.contract import SAVED, Rows

LANES = 128  # of a TPU's vector registers: blocks of queries and keys are multiples of it
# The fused backward pass computes scores once instead of twice, but writes a part of the queries'
# gradient for each block of keys: it is used where those are no more than this many.
FUSED_PARTS = 4


def attend(
    q_btnh: jax.Array,
    k_bskh: jax.Array,
    v_bskh: jax.Array,
    rows: Rows,
    *,
    order: np.ndarray | None = None,
    part: jax.Array | int = 0,
    interpret: bool = False,
) -> jax.Array:
    """The contract's kernel.

    Args:
      order: int32 [S], of which column each query of the whole rows is, where the T queries here
        are number `part` of S / T equal parts of them. None: queries and keys lie alike.
      interpret: run without a TPU, very slowly.
    """
    t, n, h = q_btnh.shape[1:]
    s = k_bskh.shape[1]
    order = np.arange(s, dtype=np.int32) if order is None else order
    kernel = _part(_kernel(order, t, n, h, interpret), part, s // t)

    def row(q_tnh, k_skh, v_skh, q_segments, kv_segments):
        q_nth, k_ksh, v_ksh = (x.swapaxes(0, 1) for x in (q_tnh, k_skh, v_skh))
        segments = splash_attention_kernel.SegmentIds(q_segments, kv_segments)
        return kernel(q_nth, k_ksh, v_ksh, segments).swapaxes(0, 1)

    # The kernel does not scale. In float32, so that queries are rounded once and the factor never.
    q_btnh = (q_btnh.astype(jnp.float32) * h**-0.5).astype(q_btnh.dtype)
    return jax.vmap(row)(q_btnh, k_bskh, v_bskh, rows.q_segments, rows.kv_segments)


def refusal(length: int, context: int, dtype: str) -> str | None:
    """Why rows of `length` tokens shared by `context` devices are not for this kernel, if so."""
    if dtype != "bfloat16":
        return f"it multiplies in bfloat16, and compute.dtype is {dtype}"
    chunk = length if context == 1 else length // (2 * context)
    if chunk % LANES:
        what = "a row" if context == 1 else f"a chunk of a row over context={context}"
        return f"{what} has {chunk} tokens, not a multiple of {LANES}"
    return None


class CausalColumns(splash_attention_mask.Mask):
    """Query i, which is column `order[i]`, sees the columns up to its own."""

    def __init__(self, order: np.ndarray):
        self.q_sequence = np.asarray(order, np.int32)  # this and the next are read by the kernel
        self.mask_function = _causal

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.q_sequence), len(self.q_sequence)

    def __getitem__(self, index) -> np.ndarray:
        queries, keys = self.q_sequence[index[0]], np.arange(len(self.q_sequence))[index[1]]
        if queries.max() < keys[0] or queries.min() >= keys[-1]:  # nearly all blocks of long rows
            return _uniform(len(queries), len(keys), queries.max() >= keys[0])
        return _causal(queries[:, None], keys[None])

    def __eq__(self, other) -> bool:
        return isinstance(other, CausalColumns) and np.array_equal(
            self.q_sequence, other.q_sequence
        )

    def __hash__(self) -> int:
        return hash(self.q_sequence.tobytes())


def _causal(queries, keys):
    return queries >= keys


@functools.cache
def _uniform(queries: int, keys: int, value: bool) -> np.ndarray:
    return np.full((queries, keys), value)


def block_sizes(chunk: int, length: int, head_dim: int) -> splash_attention_kernel.BlockSizes:
    """For queries in runs of `chunk` neighbours and `length` keys, multiples of LANES.

    Larger blocks are read less often, but compile slower and hide less of what the mask does.
    """
    scale = 1 if head_dim <= 128 else 2
    q, kv, wide_kv = (
        _largest_divisor(of, largest // scale)
        for of, largest in ((chunk, 512), (length, 1024), (length, 2048))
    )
    fused = length // wide_kv <= FUSED_PARTS
    backward_kv = wide_kv if fused else kv
    return splash_attention_kernel.BlockSizes(
        block_q=q,
        block_kv=kv,
        block_kv_compute=_largest_divisor(kv, 512),
        block_q_dkv=q,
        block_kv_dkv=backward_kv,
        block_kv_dkv_compute=_largest_divisor(backward_kv, 512),
        block_q_dq=None if fused else q,
        block_kv_dq=None if fused else kv,
        use_fused_bwd_kernel=fused,
    )


def _largest_divisor(length: int, largest: int) -> int:
    sizes = range(LANES, min(length, largest) + 1, LANES)
    return max(size for size in sizes if length % size == 0)


def _kernel(order, queries, heads, head_dim, interpret):
    length = len(order)
    chunk = queries if queries == length else queries // 2
    return splash_attention_kernel.make_splash_mha(
        splash_attention_mask.MultiHeadMask([CausalColumns(order)] * heads),
        block_sizes=block_sizes(chunk, length, head_dim),
        head_shards=1,
        q_seq_shards=length // queries,
        residual_checkpoint_name=SAVED,
        interpret=interpret,
    )


def _part(kernel, part, parts):
    """The kernel of one of the parts that the queries are divided into."""

    def own(x, axis):
        size = x.shape[axis] // parts
        return jax.lax.dynamic_slice_in_dim(x, part * size, size, axis)

    def of(info):
        return info and info._replace(
            data_next=own(info.data_next, 1),
            block_mask=own(info.block_mask, 1),
            q_sequence=own(info.q_sequence, 0),
        )

    infos = (kernel.fwd_mask_info, kernel.dq_mask_info, kernel.dkv_mask_info)
    return splash_attention_kernel.SplashAttentionKernel(*map(of, infos), **kernel.kwargs)
