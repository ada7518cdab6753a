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
from biomatrix_jax.convert.source import CheckpointSource, HFSource
from biomatrix_jax.sharding.mesh import make_mesh
from tests import processes
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


def local_bytes(arrays: dict) -> int:
    """What the different slices on this process's devices hold."""
    slices = {(n, str(s.index)): s.data.nbytes for n, a in arrays.items() for s in shards(a)}
    return sum(slices.values())


def shards(array: jax.Array) -> list:
    return array.addressable_shards


@pytest.mark.parametrize("kind", ["hf", "ckpt"])
def test_each_device_gets_its_slice_and_nothing_is_read_whole(tmp_path, kind, monkeypatch):
    config = hf.ModelConfig(64, 16, 2, 4, 4, 8, 24, tied_embeddings=False)
    hf.write(tmp_path / "hf", config, cases.hf_weights(config), dtype="float32", shards=2)
    from_hf(tmp_path / "hf", tmp_path / "ckpt")
    read: list[tuple[str, int]] = []
    for source in (HFSource, CheckpointSource):
        original = source.read

        def spy(self, path, index=(), original=original):
            part = original(self, path, index)
            read.append((path, part.nbytes))
            return part

        monkeypatch.setattr(source, "read", spy)
    mesh = make_mesh(MeshConfig(fsdp=4, tensor=2), jax.devices())
    arrays = parameters(bm.load(tmp_path / kind, mesh=mesh))
    assert sum(size for _, size in read) == local_bytes(arrays)
    for path, size in read:  # one slice at a time, of one device
        assert size == shards(arrays[path])[0].data.nbytes
        if "norm" not in path:
            assert size == arrays[path].nbytes // 8


TWO_BY_TWO = """
import pathlib
import numpy as np
from flax import nnx
import biomatrix_jax as bm
from biomatrix_jax.checkpoint import flatten
from biomatrix_jax.config import MeshConfig
from biomatrix_jax.convert import rules, source
from biomatrix_jax.convert.exporter import save
from biomatrix_jax.sharding.mesh import make_mesh
from tests import processes
from tests.convert import hf

weights = rules.from_hf_tensors({config}, hf.read_weights(pathlib.Path({hf!r})))
mesh = make_mesh(MeshConfig(fsdp=2, tensor=2), jax.devices())
read = 0
for kind in (source.HFSource, source.CheckpointSource):
    def spy(self, path, index=(), original=kind.read):
        global read
        part = original(self, path, index)
        read += part.nbytes
        return part
    kind.read = spy
answers = []
for path in ({hf!r}, {ckpt!r}):
    read = 0
    model = bm.load(path, mesh=mesh)
    arrays = flatten(nnx.state(model, nnx.Param))
    slices = {{}}
    for name, array in arrays.items():
        for shard in array.addressable_shards:
            expected = np.ascontiguousarray(weights[name][shard.index])
            assert np.asarray(shard.data).tobytes() == expected.tobytes(), name
            slices[name, str(shard.index)] = shard.data.nbytes
    answers.append([read, sum(slices.values()), sum(a.nbytes for a in weights.values())])
save(model, {out!r}, files={hf!r}, shard_size="4KB")
save(bm.load({hf!r}), {alone!r})  # each process has all of it
answer(answers)
"""


def test_two_processes_read_what_their_devices_hold_and_write_one_export(tmp_path):
    config = hf.ModelConfig(64, 16, 2, 4, 4, 8, 24, tied_embeddings=False)
    weights = hf.write(tmp_path / "hf", config)
    from_hf(tmp_path / "hf", tmp_path / "ckpt")
    names = {name: str(tmp_path / name) for name in ("hf", "ckpt", "out", "alone")}
    script = TWO_BY_TWO.format(config=f"hf.{config!r}", **names)
    for answers in processes.run(script, count=2, devices=2):
        for read, held, whole in answers:
            assert read == held
            assert held < 0.6 * whole  # half of it, and the norms, which are not split
    hf.assert_same_bits(hf.read_weights(tmp_path / "out"), weights)
    hf.assert_same_bits(hf.read_weights(tmp_path / "alone"), weights)
    for name in ("config.json", "generation_config.json", "chat_template.jinja"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "hf" / name).read_bytes()


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
