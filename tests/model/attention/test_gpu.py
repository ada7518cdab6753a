"""The GPU's flash kernel, interpreted, against the reference; and that it compiles for CUDA."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from biomatrix_jax.errors import BadInput
from biomatrix_jax.model.attention import Rows, gpu
from biomatrix_jax.model.attention.contract import SAVED
from biomatrix_jax.model.attention.gpu import Tile, Tiles
from biomatrix_jax.plan.topology import find_devices
from tests.compilers import with_cuda
from tests.model.attention.packed import (
    Arrays,
    arrays,
    assert_as_exact,
    assert_same,
    rows_of,
    with_gradients,
)

# Sides differ from kernel to kernel and between queries and keys: a wrong one would show.
SMALL = Tiles(Tile(32, 16, 4, 1), Tile(16, 32, 4, 1), Tile(32, 16, 4, 1))
DOCUMENTS = [[37, 1, 1, 40], [100], [16] * 6, []]
LENGTH = 100  # which no tile divides
KERNELS = "flash_forward", "flash_to_queries", "flash_to_keys"


@pytest.mark.parametrize(("kv_heads", "head_dim"), [(4, 24), (1, 16)])
def test_float32_is_the_reference(kv_heads, head_dim):
    rows = rows_of(DOCUMENTS, LENGTH)
    given = arrays(rows, 4, kv_heads, head_dim)
    assert_same(flash_of(SMALL), given, rows)
    order = np.random.default_rng(0).permutation(LENGTH)
    assert_same(
        flash_of(SMALL),
        given,
        rows._replace(
            kv_segments=rows.kv_segments[:, order], kv_positions=rows.kv_positions[:, order]
        ),
    )


def test_bfloat16_is_as_exact_as_the_reference():
    rows = rows_of([[200, 1, 39]], 240)
    attend = flash_of(gpu.tiles(64, jnp.bfloat16))
    assert_as_exact(attend, arrays(rows, 4, 2, 64), rows)


def test_queries_of_one_of_the_devices_that_share_a_row():
    """The first and the last of six chunks, over the keys of the whole row."""
    whole = rows_of([[60, 1, 35], [96]], 96)
    own = np.r_[:16, 80:96]
    rows = Rows(*(x[:, own] for x in whole[:2]), *whole[2:])
    assert_same(flash_of(SMALL), arrays(rows, 4, 2, 16), rows)


def test_other_documents_blocks_are_not_visited():
    rows = rows_of([[32, 32, 32]], 96)
    given = arrays(rows, 2, 1, 16)
    lost = given._replace(
        v=given.v.at[:, :32].set(jnp.nan), d_out=given.d_out.at[:, 64:].set(jnp.nan)
    )
    clean, spoilt = (with_gradients(flash_of(SMALL), x, rows) for x in (given, lost))
    np.testing.assert_array_equal(clean[0][:, 32:], spoilt[0][:, 32:])
    for a, b in zip(clean[1:], spoilt[1:], strict=True):
        np.testing.assert_array_equal(a[:, 32:64], b[:, 32:64])


def test_saved_by_name_the_forward_pass_is_not_repeated():
    rows = rows_of(DOCUMENTS, LENGTH)
    given = arrays(rows, 4, 2, 16)

    def kernels(policy):
        attend = jax.checkpoint(lambda *qkv: flash_of(SMALL)(*qkv, rows), policy=policy)
        loss = lambda *qkv: (attend(*qkv) ** 2).sum()  # noqa: E731
        return str(jax.make_jaxpr(jax.grad(loss))(*given[:3])).count(" pallas_call[")

    policies = jax.checkpoint_policies
    assert kernels(policies.save_only_these_names(SAVED)) == 3
    assert kernels(policies.nothing_saveable) == 4


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize(
    ("length", "heads", "kv_heads", "head_dim"), [(8192, 16, 8, 128), (600, 5, 1, 24)]
)
def test_it_is_lowered_for_cuda(dtype, length, heads, kv_heads, head_dim):
    rows = Rows(*[jax.ShapeDtypeStruct((2, length), jnp.int32)] * 4)
    queries = jax.ShapeDtypeStruct((2, length, heads, head_dim), dtype)
    keys = jax.ShapeDtypeStruct((2, length, kv_heads, head_dim), dtype)
    traced = with_gradients.trace(gpu.flash, Arrays(queries, keys, keys, queries), rows)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    for name in KERNELS:
        assert text.count(f'name = "{name}"') == 1


@with_cuda
def test_an_h100s_compiler_takes_it_and_makes_no_scores():
    (device,) = find_devices("h100:1")
    lies = SingleDeviceSharding(device)

    def shape(*sizes, dtype=jnp.bfloat16):
        return jax.ShapeDtypeStruct(sizes, dtype, sharding=lies)

    rows = Rows(*[shape(1, 8192, dtype=jnp.int32)] * 4)
    queries, keys = shape(1, 8192, 16, 128), shape(1, 8192, 8, 128)
    gradients = jax.jit(functools.partial(with_gradients.__wrapped__, gpu.flash))
    compiled = gradients.lower(Arrays(queries, keys, keys, queries), rows).compile()
    assert compiled.as_text().count("__gpu$xla.gpu.triton") == 3
    assert compiled.memory_analysis().temp_size_in_bytes < 2**22  # numbers of a query, no more


def test_cudnn_refuses_what_it_would_get_wrong():
    rows = rows_of([[10, 6]], 16)
    q, k, v, _ = arrays(rows, 2, 1, 16).astype(jnp.bfloat16)
    with pytest.raises(BadInput, match="packed rows apart: choose 'flash'"):
        gpu.cudnn(q, k, v, rows)
    with pytest.raises(BadInput, match="not 8 and 16"):
        gpu.cudnn(q[:, :8], k, v)
    with pytest.raises(BadInput, match="not float32"):
        gpu.cudnn(*(x.astype(jnp.float32) for x in (q, k, v)))


@functools.cache
def flash_of(sizes: Tiles):
    return lambda q, k, v, rows: gpu.flash(q, k, v, rows, sizes, True)
