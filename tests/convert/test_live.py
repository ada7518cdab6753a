"""Exporting a decoder that is in memory, on one device or laid out on a mesh."""

import jax
import numpy as np
import pytest

import biomatrix_jax as bm
from biomatrix_jax.config import MeshConfig
from biomatrix_jax.convert.exporter import save
from biomatrix_jax.convert.live import LiveSource
from biomatrix_jax.convert.load import build, load
from biomatrix_jax.sharding.mesh import make_mesh
from tests.convert import hf

SPLIT = hf.ModelConfig(64, 16, 2, 4, 4, 8, 24, tied_embeddings=False)
CARRIED = ("config.json", "generation_config.json", "chat_template.jinja")


@pytest.mark.parametrize("dtype", hf.DTYPES)
@pytest.mark.parametrize("mesh", [None, MeshConfig(fsdp=4, tensor=2), MeshConfig(data=2, fsdp=4)])
def test_bits_files_and_shards(tmp_path, dtype, mesh):
    weights = hf.write(tmp_path / "src", SPLIT, dtype=dtype)
    model = load(tmp_path / "src", mesh=mesh and make_mesh(mesh, jax.devices()))
    notes = save(model, tmp_path / "dst", files=tmp_path / "src", shard_size="4KB")
    hf.assert_same_bits(hf.read_weights(tmp_path / "dst"), weights)
    assert len(list((tmp_path / "dst").glob("*.safetensors"))) > 2
    assert notes == [f"the model: {hf.ODD_NOTE}"]
    for name in CARRIED:
        assert (tmp_path / "dst" / name).read_bytes() == (tmp_path / "src" / name).read_bytes()


def test_a_part_is_what_indexing_gives(tmp_path):
    hf.write(tmp_path, SPLIT, dtype="float32")
    mesh = make_mesh(MeshConfig(fsdp=4, tensor=2), jax.devices())
    source = LiveSource(load(tmp_path, mesh=mesh), tmp_path)
    for path, spec in source.specs().items():
        whole = source.read(path)
        assert (whole.shape, whole.dtype) == (spec.shape, spec.dtype)
        for index in ((slice(1, 2),), (slice(0, 2), slice(1, 3)))[: whole.ndim]:
            np.testing.assert_array_equal(source.read(path, index), whole[index])


def test_another_dtype_and_a_model_without_files(tmp_path):
    weights = hf.write(tmp_path / "src", SPLIT, dtype="float32")
    bm.save(load(tmp_path / "src"), tmp_path / "dst", dtype="bfloat16")
    bfloat16 = hf.numpy_dtype("bfloat16")
    rounded = {name: array.astype(bfloat16) for name, array in weights.items()}
    hf.assert_same_bits(hf.read_weights(tmp_path / "dst"), rounded)
    again = load(tmp_path / "dst")
    assert again.config == SPLIT
    assert sorted(p.name for p in (tmp_path / "dst").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_refusals_write_nothing(tmp_path):
    hf.write(tmp_path / "src", SPLIT)
    model = load(tmp_path / "src")
    before = hf.snapshot(tmp_path)
    with pytest.raises(bm.BadInput, match="exists already"):
        save(model, tmp_path / "src")
    with pytest.raises(bm.BadInput, match="shard size"):
        save(model, tmp_path / "dst", shard_size="-1")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tokenizer.json").write_text(hf.tokenizer_json(200))
    with pytest.raises(bm.BadInput, match="token id 199"):
        save(model, tmp_path / "dst", files=tmp_path / "other")
    (tmp_path / "other" / "tokenizer.json").unlink()
    (tmp_path / "other").rmdir()
    assert hf.snapshot(tmp_path) == before


def test_a_decoder_that_was_built_here(tmp_path):
    weights = hf.write(tmp_path / "src", hf.TIED)
    from biomatrix_jax.config import ComputeConfig
    from biomatrix_jax.convert import rules

    arrays = rules.from_hf_tensors(hf.TIED, weights)
    save(build(hf.TIED, ComputeConfig(), arrays), tmp_path / "dst")
    hf.assert_same_bits(hf.read_weights(tmp_path / "dst"), weights)
