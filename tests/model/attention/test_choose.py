import logging

import numpy as np
import pytest

from biomatrix_jax.config import ComputeConfig, MeshConfig, ModelConfig, ShardingRules
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model.attention import reference
from biomatrix_jax.model.attention.choose import automatic, choose
from biomatrix_jax.sharding import make_mesh
from tests.model.attention.packed import arrays, rows_of

MODEL = ModelConfig(heads=4, kv_heads=2, head_dim=16)


def chosen(name="auto", length=256, dtype="float32", **mesh):
    compute = ComputeConfig(dtype, attention=name)
    return choose(compute, MODEL, make_mesh(MeshConfig(**mesh)), ShardingRules(), length)


@pytest.mark.parametrize(("length", "name"), [(1024, "reference"), (1032, "tiled")])
def test_a_cpu_keeps_few_scores_and_says_so(caplog, length, name):
    with caplog.at_level(logging.INFO, logger="biomatrix_jax"):
        assert chosen(length=length).name == name
    (line,) = caplog.messages
    assert line.startswith(f"attention: {name}, on a CPU with rows")


@pytest.mark.parametrize(
    ("platform", "dtype", "length", "name", "why"),
    [
        ("tpu", "bfloat16", 8192, "splash", "on tpu devices"),
        ("tpu", "bfloat16", 8200, "tiled", "a row has 8200 tokens, not a multiple of 128"),
        ("tpu", "float32", 8192, "tiled", "it multiplies in bfloat16"),
        ("gpu", "bfloat16", 8200, "flash", "on gpu devices"),
    ],
)
def test_an_accelerator_has_its_own_kernel_where_that_fits(platform, dtype, length, name, why):
    found, reason = automatic(platform, ComputeConfig(dtype), length, 1)
    assert found == name
    assert why in reason


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cudnn", "does not keep a packed row's documents apart"),
        ("splash", "it runs on TPUs, and the mesh's devices are of kind cpu"),
        ("flash", "it runs on GPUs, and the mesh's devices are of kind cpu"),
    ],
)
def test_a_kernel_that_would_be_wrong_is_refused_by_name(name, why):
    with pytest.raises(BadInput, match=f"compute.attention={name}: .*{why}") as caught:
        chosen(name)
    assert "\n" not in str(caught.value)


def test_on_a_tpus_mesh_it_is_splash():
    pytest.importorskip("libtpu", reason="the devices of a TPU need libtpu")
    from biomatrix_jax.plan.topology import find_devices

    mesh = make_mesh(MeshConfig(), find_devices("v5p:2x2x1"))
    attention = choose(ComputeConfig(), MODEL, mesh, ShardingRules(), 8192)
    assert attention.name == "splash"
    with pytest.raises(BadInput, match=r"splash: a row has 8200 tokens, not a multiple of 128"):
        choose(ComputeConfig(attention="splash"), MODEL, mesh, ShardingRules(), 8200)


def test_a_row_that_does_not_divide_is_refused():
    with pytest.raises(BadInput, match=r"row of 260 tokens .* context=4"):
        chosen(length=260, context=4)


@pytest.mark.parametrize("mesh", [{}, {"context": 4, "fsdp": 2}])
def test_a_batch_is_arranged_as_the_kernel_expects(mesh):
    rows = rows_of([[200, 1, 30], [256], *[[128, 128]] * 6], 256)
    q, k, v, _ = arrays(rows, 4, 2, 16)
    attention = chosen(**mesh)
    batch = {"q": q, "k": k, "v": v, "segments": rows.q_segments, "positions": rows.q_positions}
    lies = attention.arrange(batch)
    of_rows = rows.of_whole(lies["segments"], lies["positions"])
    out = attention.attend(lies["q"], lies["k"], lies["v"], of_rows)
    expected = attention.arrange({"out": reference.attend(q, k, v, rows)})["out"]
    np.testing.assert_allclose(out, expected, atol=2e-6)
    assert (attention.order is None) == (not mesh)
