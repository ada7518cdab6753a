"""Kernels over meshes of simulated devices, against the reference on one."""

import functools

import jax
import numpy as np
import pytest

from biomatrix_jax.config import MeshConfig, ModelConfig, ShardingRules
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model.attention import Rows, reference, splash, tiled
from biomatrix_jax.model.attention.devices import over_devices
from biomatrix_jax.model.attention.order import balanced_order
from biomatrix_jax.sharding import make_mesh
from tests.model.attention.packed import arrays, assert_same, rows_of

RULES = ShardingRules()
KEYS_EVERYWHERE = ShardingRules(kv_heads=(), act_kv_heads=())
DOCUMENTS = [[20, 1, 1, 30], [64]]
MESHES = {
    "fsdp, context and tensor": (MeshConfig(fsdp=2, context=2, tensor=2), RULES),
    "context 4": (MeshConfig(fsdp=1, context=4, tensor=2), RULES),
    "one query head of a group a device": (MeshConfig(fsdp=1, tensor=8), KEYS_EVERYWHERE),
    "two of a group": (MeshConfig(fsdp=1, context=2, tensor=4), KEYS_EVERYWHERE),
    "a whole group": (MeshConfig(fsdp=2, context=2, tensor=2), KEYS_EVERYWHERE),
    "rows shared over two axes": (
        MeshConfig(slice=2, fsdp=2, context=2),
        ShardingRules(batch=("fsdp",), length=("slice", "context")),
    ),
    "rows whole": (MeshConfig(fsdp=2, context=4), ShardingRules(length=())),
}


def on_mesh(kernel, sizes: MeshConfig, rules: ShardingRules, model: ModelConfig):
    """The kernel over a mesh, for rows in their own order."""
    mesh = make_mesh(sizes)
    mapped = over_devices(kernel, mesh, rules, model)
    context = int(np.prod([mesh.shape[axis] for axis in rules.length]))

    def attend(q, k, v, rows):
        order = balanced_order(q.shape[1], context)
        if order is None:
            return mapped(q, k, v, rows)
        rows = Rows(*(x[:, order] for x in rows))
        return mapped(q[:, order], k[:, order], v[:, order], rows)[:, np.argsort(order)]

    return attend


def model(heads, kv_heads, head_dim=16) -> ModelConfig:
    return ModelConfig(heads=heads, kv_heads=kv_heads, head_dim=head_dim)


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("kernel", [reference, tiled])
def test_any_mesh_gives_what_one_device_does(kernel, mesh):
    rows = rows_of(DOCUMENTS, 64)
    attend = on_mesh(kernel.attend, *MESHES[mesh], model(8, 2))
    assert_same(attend, arrays(rows, 8, 2, 16), rows)


def test_splash_on_rows_shared_by_devices(monkeypatch):
    # Chunks of 64 queries, in blocks of 128 of which each is two chunks.
    rows = rows_of([[130, 1, 1, 60], [256]], 256)
    monkeypatch.setattr(splash, "_largest_divisor", lambda length, largest: 128)
    order = balanced_order(256, 2)

    def kernel(*args):
        part = jax.lax.axis_index("context")
        return splash.attend(*args, order=order, part=part, interpret=True)

    attend = on_mesh(kernel, MeshConfig(fsdp=1, context=2, tensor=4), KEYS_EVERYWHERE, model(4, 2))
    assert_same(attend, arrays(rows, 4, 2, 16), rows)


def test_a_device_scores_its_own_queries_only():
    seen = []

    def kernel(q, k, v, rows):
        seen.append((q.shape, k.shape, rows.q_segments.shape, rows.kv_segments.shape))
        return reference.attend(q, k, v, rows)

    rows = rows_of(DOCUMENTS, 64)
    attend = on_mesh(kernel, MeshConfig(fsdp=1, context=4, tensor=2), RULES, model(8, 2))
    jax.eval_shape(attend, *arrays(rows, 8, 2, 16)[:3], rows)
    assert seen == [((2, 16, 4, 16), (2, 64, 1, 16), (2, 16), (2, 64))]


def test_only_keys_and_values_travel():
    rows = rows_of(DOCUMENTS, 64)
    mesh = make_mesh(MeshConfig(fsdp=1, context=4), jax.devices()[:4])
    attend = over_devices(tiled.attend, mesh, RULES, model(8, 2))
    q, k, v, d_out = arrays(rows, 8, 2, 16)

    def gradients(q, k, v, d_out):
        return jax.vjp(lambda *qkv: attend(*qkv, rows), q, k, v)[1](d_out)

    program = str(jax.make_jaxpr(gradients)(q, k, v, d_out))
    assert program.count("= all_gather[") == 4  # k, v, their segments and positions
    assert program.count("= reduce_scatter[") == 2  # of k and v
    assert "all_to_all" not in program
    assert "ppermute" not in program


@pytest.mark.parametrize(
    ("rules", "heads", "kv_heads", "why"),
    [
        (ShardingRules(act_heads=()), 8, 8, r"act_kv_heads \(tensor\) must be what .* \(nothing\)"),
        (RULES, 8, 2, r"kv_heads of 2 is not a multiple of the mesh's tensor=8"),
        (RULES, 4, 2, r"dimension act_heads of 4 .*tensor=8"),
        (KEYS_EVERYWHERE, 24, 4, None),
        (KEYS_EVERYWHERE, 24, 3, r"3 query heads a device .* evenly: 8 use one"),
        (KEYS_EVERYWHERE, 24, 6, r"3 query heads a device .* evenly: 4 use one"),
    ],
)
def test_heads_that_do_not_divide_are_refused(rules, heads, kv_heads, why):
    build = functools.partial(
        over_devices, reference.attend, make_mesh(MeshConfig(fsdp=1, tensor=8)), rules
    )
    if why is None:
        build(model(heads, kv_heads))
        return
    with pytest.raises(BadInput, match=why):
        build(model(heads, kv_heads))
