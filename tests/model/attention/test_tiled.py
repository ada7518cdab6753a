"""The blockwise kernel against the reference; what it leaves out, keeps in memory and sends."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from biomatrix_jax.model.attention import Rows, reference, tiled
from biomatrix_jax.model.attention.contract import SAVED
from tests.model.attention.packed import (
    Arrays,
    arrays,
    assert_as_exact,
    assert_same,
    rows_of,
    with_gradients,
)

# Documents of one token, of one and of several blocks (here of 8); padding; a row of nothing else.
DOCUMENTS = [[37, 1, 1, 20], [70], [8] * 8, []]
LENGTH = 70  # of blocks of 8: the last is not full


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_float32_is_the_reference(kv_heads):
    rows = rows_of(DOCUMENTS, LENGTH)
    assert_same(tiled.attend, arrays(rows, 4, kv_heads, 24), rows)


def test_bfloat16_is_as_exact_as_the_reference():
    rows = rows_of([[300, 1, 150, 61], [100] * 5], 512)
    assert_as_exact(tiled.attend, arrays(rows, 4, 2, 64), rows)


def test_tokens_in_any_order():
    whole = rows_of(DOCUMENTS, LENGTH)
    rng = np.random.default_rng(0)
    queries, keys = rng.permutation(LENGTH), rng.permutation(LENGTH)
    rows = Rows(*(x[:, queries] for x in whole[:2]), *(x[:, keys] for x in whole[2:]))
    assert_same(tiled.attend, arrays(rows, 4, 2, 16), rows)


@pytest.mark.parametrize("part", [slice(40, 41), slice(30, 50)])
def test_fewer_queries_than_keys(part):
    whole = rows_of(DOCUMENTS, LENGTH)
    rows = Rows(*(x[:, part] for x in whole[:2]), *whole[2:])
    assert_same(tiled.attend, arrays(rows, 4, 2, 16), rows)


def test_other_documents_blocks_are_not_visited():
    rows = rows_of([[8, 16, 24, 16]], 64)
    given = arrays(rows, 2, 1, 16)
    lost = given._replace(v=given.v.at[:, :8].set(jnp.nan))  # 0 times which would show
    clean, spoilt = (with_gradients(tiled.attend, x, rows) for x in (given, lost))
    assert jnp.isnan(spoilt[0][:, :8]).all()
    # The longest document has three blocks, so others see up to two back, from the fourth on none.
    np.testing.assert_array_equal(clean[0][:, 24:], spoilt[0][:, 24:])
    np.testing.assert_array_equal(clean[1][:, 24:], spoilt[1][:, 24:])


def test_all_scores_are_never_in_memory():
    n, t = 4, 4096
    rows = Rows(*[jax.ShapeDtypeStruct((1, t), jnp.int32)] * 4)
    given = Arrays(*[jax.ShapeDtypeStruct((1, t, n, 16), jnp.float32)] * 4)
    compiled = with_gradients.lower(tiled.attend, given, rows).compile()
    block_of_scores = 4 * n * t * tiled.LARGEST_BLOCK
    assert compiled.memory_analysis().temp_size_in_bytes < 5 * block_of_scores  # of 16 in all


def test_saved_by_name_the_forward_pass_is_not_repeated():
    rows = rows_of(DOCUMENTS, LENGTH)
    given = arrays(rows, 4, 2, 16)

    def loops(policy):
        attend = jax.checkpoint(functools.partial(tiled.attend, rows=rows), policy=policy)
        loss = lambda *qkv: (attend(*qkv) ** 2).sum()  # noqa: E731
        return str(jax.make_jaxpr(jax.grad(loss))(*given[:3])).count(" while[")

    policies = jax.checkpoint_policies
    assert loops(policies.save_only_these_names(SAVED)) == 2
    assert loops(policies.nothing_saveable) == 3


def test_over_devices_queries_stay_and_keys_pass_by_in_blocks():
    mesh = jax.make_mesh((2, 2, 2), ("fsdp", "context", "tensor"), (AxisType.Auto,) * 3)
    length, n, k, h = 256, 4, 2, 16
    rows = rows_of([[100, 150], [1, 1, 250], [256], [50] * 5], length)
    given = arrays(rows, n, k, h)

    def place(*axes):
        return NamedSharding(mesh, PartitionSpec(*axes))

    queries = place("fsdp", "context", "tensor")
    keys, tokens = place("fsdp", None, "tensor"), place("fsdp", "context")
    compiled = (
        jax.jit(
            functools.partial(with_gradients.__wrapped__, tiled.attend),
            in_shardings=(Arrays(queries, keys, keys, queries), tokens),
            out_shardings=(queries, queries, keys, keys),
        )
        .lower(given, rows)
        .compile()
    )
    sent = re.findall(
        r"= (.*?) (all-gather|all-to-all|collective-permute)(?:-start)?\(", compiled.as_text()
    )
    blocks = {shape for shape, _ in sent if "f32[" in shape}
    # Rows over fsdp and key heads over tensor: one block of 16 keys of two rows and one head.
    assert {re.match(r"\(?f32\[([\d,]*)\]", shape)[1] for shape in blocks} <= {
        "2,1,1,16,16",  # while the blocks pass
        "2,1,16,16,16",  # the gradients of keys and values, when all is done
    }
    ours = compiled(given, rows)
    theirs = with_gradients(reference.attend, given, rows)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
