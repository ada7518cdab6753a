"""Splash attention, interpreted, against the reference; and what a TPU's compiler makes of it."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas.ops.tpu.splash_attention.splash_attention_kernel import BlockSizes
from jax.sharding import SingleDeviceSharding

from biomatrix_jax.model.attention import Rows, splash
from biomatrix_jax.model.attention.order import balanced_order
from tests.model.attention.packed import arrays, assert_as_exact, assert_same, rows_of

INTERPRETED = functools.partial(splash.attend, interpret=True)
ROWS = rows_of([[130, 1, 1, 60], [256]], 256)  # with padding; over the edge of a block
SMALL = dict.fromkeys(("block_q", "block_kv", "block_q_dkv", "block_kv_dkv"), 128)
BLOCKS = {
    "one": None,  # what splash.block_sizes says
    "fused": BlockSizes(**SMALL, block_kv_dkv_compute=128, use_fused_bwd_kernel=True),
    "two_passes": BlockSizes(**SMALL, block_kv_dkv_compute=128, block_q_dq=128, block_kv_dq=128),
}


@pytest.fixture
def cut(monkeypatch):
    """Has rows cut in one of the ways of BLOCKS."""

    def by(name):
        if sizes := BLOCKS[name]:
            monkeypatch.setattr(splash, "block_sizes", lambda *_: sizes)

    return by


@pytest.mark.parametrize(
    ("blocks", "heads", "kv_heads", "head_dim"),
    [("one", 4, 2, 32), ("fused", 2, 2, 16), ("two_passes", 4, 1, 16)],
)
def test_packed_rows_are_those_of_the_reference(cut, blocks, heads, kv_heads, head_dim):
    cut(blocks)
    assert_same(INTERPRETED, arrays(ROWS, heads, kv_heads, head_dim), ROWS)


def test_bfloat16_is_as_exact_as_the_reference():
    # Queries are scaled before they are rounded: exact where sqrt(H) is a power of two.
    assert_as_exact(INTERPRETED, arrays(ROWS, 2, 1, 64), ROWS)


@pytest.mark.parametrize("blocks", ["fused", "two_passes"])
def test_parts_of_a_row_in_balanced_order(cut, blocks):
    cut(blocks)
    order = balanced_order(256, 2)

    def attend(q, k, v, rows):
        outs = []
        for part in range(2):
            own = order[128 * part : 128 * (part + 1)]
            of_part = Rows(rows.q_segments[:, own], rows.q_positions[:, own], *rows[2:])
            outs.append(INTERPRETED(q[:, own], k, v, of_part, order=order, part=jnp.int32(part)))
        return jnp.concatenate(outs, 1)[:, np.argsort(order)]

    assert_same(attend, arrays(ROWS, 2, 1, 16), ROWS)


def test_columns_mask_as_the_pairs_of_them_do():
    order = balanced_order(64, 2)
    mask = splash.CausalColumns(order)
    pairs = order[:, None] >= np.arange(64)
    for q in range(0, 64, 16):
        for k in range(0, 64, 8):
            index = slice(q, q + 16), slice(k, k + 8)
            assert np.array_equal(mask[index], pairs[index])
    assert mask == splash.CausalColumns(order.copy())
    assert mask != splash.CausalColumns(order[::-1])


@pytest.mark.parametrize(("length", "context"), [(32_768, 8), (8192, 2)])
def test_balanced_devices_visit_as_many_blocks(length, context):
    def visited(order):
        kernel = splash._kernel(order, length // context, 2, 128, False)
        infos = (kernel.fwd_mask_info, kernel.dkv_mask_info)
        return [
            np.count_nonzero(np.split(np.asarray(i.block_mask), context, 1), (1, 2, 3))
            for i in infos
        ]

    for counts in visited(balanced_order(length, context)):
        assert counts.max() == counts.min()
    forward, _ = visited(np.arange(length, dtype=np.int32))
    assert forward.max() > 1.4 * forward.mean()  # the last device would keep the others waiting


def test_blocks_divide_what_they_cut():
    for chunk, length, head_dim in [(4096, 8192, 128), (1920, 3840, 64), (128, 128, 256)]:
        sizes = splash.block_sizes(chunk, length, head_dim)
        assert not chunk % sizes.block_q
        assert not chunk % sizes.block_q_dkv
        for block in (sizes.block_kv, sizes.block_kv_dkv):
            assert not length % block
        assert not sizes.block_kv % sizes.block_kv_compute
        assert not sizes.block_kv_dkv % sizes.block_kv_dkv_compute
    assert splash.block_sizes(8192, 8192, 128).use_fused_bwd_kernel
    assert not splash.block_sizes(32_768, 32_768, 128).use_fused_bwd_kernel


@pytest.mark.parametrize(
    ("length", "context", "dtype", "why"),
    [
        (8200, 1, "bfloat16", "a row has 8200 tokens, not a multiple of 128"),
        (1024, 8, "bfloat16", "over context=8 has 64 tokens"),
        (8192, 1, "float32", "compute.dtype is float32"),
        (8192, 8, "bfloat16", None),
    ],
)
def test_what_it_cannot_take_is_said(length, context, dtype, why):
    refusal = splash.refusal(length, context, dtype)
    assert refusal is None if why is None else why in refusal


def test_a_tpus_compiler_takes_it_and_makes_no_scores():
    pytest.importorskip("libtpu", reason="compiling for a TPU needs libtpu")
    from biomatrix_jax.plan.topology import find_devices

    lies = SingleDeviceSharding(find_devices("v5p:2x2x1")[0])

    def shape(*sizes, dtype=jnp.bfloat16):
        return jax.ShapeDtypeStruct(sizes, dtype, sharding=lies)

    def gradients(q, k, v, segments):
        rows = Rows(segments, segments, segments, segments)
        loss = lambda q, k, v: splash.attend(q, k, v, rows).astype(jnp.float32).sum()  # noqa: E731
        return jax.grad(loss, (0, 1, 2))(q, k, v)

    q, k, segments = shape(2, 640, 4, 128), shape(2, 640, 2, 128), shape(2, 640, dtype=jnp.int32)
    program = jax.jit(gradients).lower(q, k, k, segments).compile().as_text()
    assert "splash_mha_fwd_segmented" in program
    assert "splash_mha_dkv_segmented" in program
    assert not re.search(r"\[(\d+,)*640,(\d+,)*640\b", program)
    assert "[2,640,4,128]" in program  # the pattern would find what it looks for
    assert not re.search(r"\[2,640,2,2,128\]\S* broadcast", program)  # keys for each query head
