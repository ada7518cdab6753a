"""bm.load against golden logits of transformers' Qwen3, from every form and onto meshes."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import biomatrix_jax as bm
from biomatrix_jax.checkpoint import flatten
from biomatrix_jax.config import MeshConfig, ShardingRules
from biomatrix_jax.convert import rules
from biomatrix_jax.convert.exporter import to_hf
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.sharding.mesh import make_mesh
from tests.convert import hf
from tests.model import cases

GOLDEN = Path(__file__).parents[1] / "model" / "golden"


def parameters(model) -> dict:
    return flatten(nnx.state(model, nnx.Param))


@pytest.mark.parametrize("name", cases.CASES)
def test_logits_are_those_of_the_original(tmp_path, name):
    config = cases.CASES[name]
    golden = np.load(GOLDEN / f"{name}.npz")["whole"]
    hf.write(tmp_path / "hf", config, cases.hf_weights(config), dtype="float32", shards=2)
    from_hf(tmp_path / "hf", tmp_path / "ckpt")
    to_hf(tmp_path / "ckpt", tmp_path / "back", shard_size="50KB")
    for place in ("hf", "ckpt", "ckpt/0", "back"):
        model = bm.load(tmp_path / place)
        assert model.compute.dtype == "float32"
        logits = model(jnp.asarray(cases.tokens(config)))
        assert logits.dtype == jnp.float32
        assert np.abs(np.asarray(logits)[0, cases.KEPT] - golden).max() < 1e-4


@pytest.fixture
def places(tmp_path):
    """bfloat16 weights as a directory and as a checkpoint."""
    weights = hf.write(tmp_path / "hf", hf.TIED)
    from_hf(tmp_path / "hf", tmp_path / "ckpt")
    return (tmp_path / "hf", tmp_path / "ckpt"), rules.from_hf_tensors(hf.TIED, weights)


def test_stored_dtype_and_bits_are_kept(places):
    paths, expected = places
    for path in paths:
        model = bm.load(path)
        assert model.config == hf.TIED
        assert (model.compute.dtype, model.compute.param_dtype) == ("bfloat16", "bfloat16")
        found = {name: np.asarray(array) for name, array in parameters(model).items()}
        hf.assert_same_bits(dict(sorted(found.items())), dict(sorted(expected.items())))


@pytest.mark.parametrize("dtype", ["float32", jnp.float32, np.dtype("float32")])
def test_dtype_asked_for(places, dtype):
    paths, expected = places
    for path in paths:
        model = bm.load(path, dtype=dtype)
        assert (model.compute.dtype, model.compute.param_dtype) == ("float32", "float32")
        for name, array in parameters(model).items():
            np.testing.assert_array_equal(array, expected[name].astype(np.float32))


def test_parameters_lie_on_the_mesh_as_the_rules_say(tmp_path):
    config = hf.ModelConfig(64, 16, 2, 4, 4, 8, 24, tied_embeddings=False)
    weights = cases.hf_weights(config)
    hf.write(tmp_path / "hf", config, weights, dtype="float32")
    from_hf(tmp_path / "hf", tmp_path / "ckpt")
    expected = rules.from_hf_tensors(config, weights)
    mesh = make_mesh(MeshConfig(fsdp=4, tensor=2), jax.devices())
    alone = bm.load(tmp_path / "hf")(jnp.arange(24).reshape(4, 6))
    for path in ("hf", "ckpt"):
        model = bm.load(tmp_path / path, mesh=mesh)
        for name, array in parameters(model).items():
            np.testing.assert_array_equal(array, expected[name])
        q = parameters(model)["layers.attention.q"]
        assert {s.data.shape for s in q.addressable_shards} == {(2, 2, 8, 4)}
        logits = jax.jit(lambda model, tokens: model(tokens))(model, jnp.arange(24).reshape(4, 6))
        np.testing.assert_allclose(logits, alone, atol=1e-5)
        whole = bm.load(tmp_path / path, mesh=mesh, rules=ShardingRules(heads=(), embed=()))
        q = parameters(whole)["layers.attention.q"]
        assert {s.data.shape for s in q.addressable_shards} == {(2, 4, 8, 16)}
        half = bm.load(tmp_path / path, mesh=mesh, dtype="bfloat16")
        q = parameters(half)["layers.attention.q"]
        assert (q.dtype, q.sharding.mesh) == (jnp.bfloat16, mesh)


def test_a_run_loads_its_latest_step(tmp_path):
    from biomatrix_jax.checkpoint import CheckpointStore

    states = [rules.from_hf_tensors(hf.TIED, cases.hf_weights(hf.TIED, seed)) for seed in (1, 2)]
    with CheckpointStore.create(tmp_path / "run" / "checkpoints", hf.TIED) as store:
        store.save(10, states[0])
        store.save(20, states[1])
    for path, state in (("run", states[1]), ("run/checkpoints/10", states[0])):
        table = parameters(bm.load(tmp_path / path))["embedding.table"]
        np.testing.assert_array_equal(table, state["embedding.table"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "dtype 'int8': known are"),
        ({"rules": ShardingRules()}, "pass a mesh too"),
        ({"dtype": "float16"}, "values too large for float16"),
    ],
)
def test_bad_options(tmp_path, options, message):
    weights = cases.hf_weights(hf.TIED)
    weights["model.norm.weight"][0] = 1e6
    hf.write(tmp_path, hf.TIED, weights, dtype="float32")
    with pytest.raises(bm.BadInput, match=message):
        bm.load(tmp_path, **options)


def test_a_mesh_that_does_not_divide_a_parameter(tmp_path):
    hf.write(tmp_path, hf.UNTIED)  # one kv head, 67 tokens
    mesh = make_mesh(MeshConfig(fsdp=1, tensor=2), jax.devices()[:2])
    with pytest.raises(bm.BadInput, match="tensor"):
        bm.load(tmp_path, mesh=mesh)


def test_unusable_paths(tmp_path):
    with pytest.raises(bm.BadInput, match="does not exist"):
        bm.load(tmp_path / "none")
    with pytest.raises(bm.BadInput, match=r"config\.json does not exist"):
        bm.load(tmp_path)
    hf.write(tmp_path, hf.TIED)
    (tmp_path / "tokenizer.json").write_text(hf.tokenizer_json(140))
    with pytest.raises(bm.BadInput, match="token id 139"):
        bm.load(tmp_path)
