"""PyTorch files of a model directory: the same tensors as from safetensors, or a message."""

import json

import ml_dtypes
import numpy as np
import pytest

from biomatrix_jax.convert.files import hf_files, torch_weights
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.source import HFSource
from biomatrix_jax.convert.verify import verify
from biomatrix_jax.errors import BadInput
from tests import torch_writer
from tests.convert import hf

INDEX = "pytorch_model.bin.index.json"


def write_weights(directory, tensors, shards=1):
    """`tensors`: arrays, or what the writer makes of them."""
    tree = {
        name: torch_writer.tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in tensors.items()
    }
    if shards == 1:
        torch_writer.write(directory / "pytorch_model.bin", tree)
        return
    weight_map = {}
    for shard in range(shards):
        file = f"pytorch_model-{shard + 1:05}-of-{shards:05}.bin"
        part = {name: tree[name] for name in sorted(tree)[shard::shards]}
        torch_writer.write(directory / file, part)
        weight_map |= dict.fromkeys(part, file)
    write_index(directory, weight_map)


def write_index(directory, weight_map):
    content = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (directory / INDEX).write_text(json.dumps(content))


def write(directory, config=hf.TIED, tensors=None, *, dtype="bfloat16", shards=1):
    """A model directory without safetensors."""
    tensors = hf.weights(config, dtype) if tensors is None else tensors
    hf.write(directory, config, {}, dtype=dtype)
    (directory / "model.safetensors").unlink()
    write_weights(directory, tensors, shards)
    return tensors


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("dtype", hf.DTYPES)
def test_finds_every_tensor(tmp_path, dtype, shards):
    weights = hf.weights(hf.TIED, dtype)
    write_weights(tmp_path, weights, shards)
    found = torch_weights.find_tensors(tmp_path)
    assert len(found) == len(weights)
    hf.assert_same_bits({t.name: t.read() for t in found}, weights)
    assert len({t.file for t in found}) == shards


def test_a_directory_without(tmp_path):
    assert torch_weights.find_tensors(tmp_path) is None
    hf.write(tmp_path)
    assert torch_weights.find_tensors(tmp_path) is None


def transposed(array):
    """The tensor as one who transposes weights and saves the view stores it."""
    storage = torch_writer.Storage(np.ascontiguousarray(array.T).reshape(-1))
    return torch_writer.view(storage, 0, array.shape, (1, array.shape[0]))


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("config", [hf.TIED, hf.UNTIED])
def test_imports_what_safetensors_hold(tmp_path, config, shards):
    weights = hf.write(tmp_path / "safe", config)
    views = {k: transposed(a) if a.ndim == 2 and "_proj" in k else a for k, a in weights.items()}
    write(tmp_path / "bin", config, views, shards=shards)
    from_hf(tmp_path / "safe", tmp_path / "a")
    notes = from_hf(tmp_path / "bin", tmp_path / "b")
    assert not [note for note in notes if "not carried along" in note]
    assert verify(tmp_path / "a", tmp_path / "b").equal
    assert verify(tmp_path / "safe", tmp_path / "bin").equal


def test_a_tied_head_shares_its_storage(tmp_path):
    weights = hf.weights(hf.TIED)
    table = weights["model.embed_tokens.weight"]
    storage = torch_writer.Storage(table.reshape(-1))
    tied = torch_writer.view(storage, 0, table.shape, (table.shape[1], 1))
    write(tmp_path, tensors=weights | {"model.embed_tokens.weight": tied, "lm_head.weight": tied})
    source = HFSource(tmp_path)
    assert any("lm_head.weight is a copy" in note for note in source.notes)
    assert source.read("embedding.table").tobytes() == table.tobytes()


def test_parts_of_a_stack_are_read_alone(tmp_path):
    weights = hf.weights(hf.TIED)
    name = "model.layers.{}.mlp.gate_proj.weight"
    views = {k: transposed(a) if "gate_proj" in k else a for k, a in weights.items()}
    write(tmp_path, tensors=views)
    part = HFSource(tmp_path).read("layers.ffn.gate", (slice(1, 3), slice(2, 5), slice(1, 7)))
    whole = np.stack([weights[name.format(layer)] for layer in (1, 2)])
    assert part.tobytes() == whole[:, 2:5, 1:7].tobytes()


def test_safetensors_come_first_and_the_rest_is_said(tmp_path):
    weights = hf.write(tmp_path / "src")
    zeros = {name: np.zeros_like(array) for name, array in weights.items()}
    write_weights(tmp_path / "src", zeros, 2)
    found = hf_files.find_tensors(tmp_path / "src")
    hf.assert_same_bits({t.name: t.read() for t in found}, weights)
    (note,) = [n for n in from_hf(tmp_path / "src", tmp_path / "dst") if "not carried" in n]
    assert "pytorch_model-00001-of-00002.bin" in note


def test_no_weights(tmp_path):
    with pytest.raises(BadInput, match="holds no weights"):
        hf_files.find_tensors(tmp_path)


def test_two_answers(tmp_path):
    weights = hf.weights(hf.TIED)
    write_weights(tmp_path, weights, 2)
    write_weights(tmp_path, weights, 1)
    with pytest.raises(BadInput, match=r"holds both pytorch_model\.bin and pytorch_model\.bin\."):
        torch_weights.find_tensors(tmp_path)


@pytest.mark.parametrize("name", ["../x.bin", "/etc/passwd", "a/b", "..", "", "a\\b", "\0"])
def test_index_pointing_outside(tmp_path, name):
    weights = hf.weights(hf.TIED)
    write_weights(tmp_path, weights, 2)
    torch_writer.write(tmp_path.parent / "x.bin", {})
    write_index(tmp_path, dict.fromkeys(weights, name))
    with pytest.raises(BadInput, match="outside the directory"):
        torch_weights.find_tensors(tmp_path)


def test_index_and_files_disagree(tmp_path):
    weights = hf.weights(hf.TIED)
    write_weights(tmp_path, weights, 2)
    weight_map = json.loads((tmp_path / INDEX).read_text())["weight_map"]
    del weight_map["model.norm.weight"]
    weight_map["model.extra"] = "pytorch_model-00001-of-00002.bin"
    write_index(tmp_path, weight_map)
    with pytest.raises(BadInput) as error:
        torch_weights.find_tensors(tmp_path)
    assert "1 named but not there: model.extra in pytorch_model-00001" in str(error.value)
    assert "1 there but not named: model.norm.weight in pytorch_model-0000" in str(error.value)
    (tmp_path / "pytorch_model-00001-of-00002.bin").unlink()
    with pytest.raises(BadInput, match=r"names 'pytorch_model-00001.*which is not there"):
        torch_weights.find_tensors(tmp_path)


def test_a_damaged_shard(tmp_path):
    write_weights(tmp_path, hf.weights(hf.TIED), 2)
    file = tmp_path / "pytorch_model-00002-of-00002.bin"
    content = bytearray(file.read_bytes())
    some = next(iter(torch_weights.read_header(file).values()))
    content[some.offset] ^= 1
    file.write_bytes(content)
    with pytest.raises(BadInput, match=rf"{file}: damaged: the checksum of archive/data/\d+ is"):
        torch_weights.find_tensors(tmp_path)


def test_other_dtypes(tmp_path):
    write_weights(tmp_path, {"x": np.zeros(2, np.float64)})
    with pytest.raises(BadInput, match=r"pytorch_model\.bin: x is stored as float64; read are fl"):
        torch_weights.find_tensors(tmp_path)


def test_a_model_that_wants_to_run_is_refused_whole(tmp_path):
    target = tmp_path / "made"
    evil = torch_writer.Call(torch_writer.Name("os", "mkdir"), (str(target),))
    write(tmp_path / "src", tensors=hf.weights(hf.TIED) | {"model.norm.weight": evil})
    with pytest.raises(BadInput, match=r"pytorch_model\.bin: model\.norm\.weight: asks for os\.mk"):
        from_hf(tmp_path / "src", tmp_path / "dst")
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("dtype", hf.DTYPES)
def test_what_torch_writes(tmp_path, dtype, shards):
    torch = pytest.importorskip("torch")
    weights = hf.write(tmp_path / "safe", hf.UNTIED, dtype=dtype)
    hf.write(tmp_path / "bin", hf.UNTIED, {}, dtype=dtype)
    (tmp_path / "bin" / "model.safetensors").unlink()
    as_torch = {
        name: torch.from_numpy(array.view(np.uint8).copy())
        .view(getattr(torch, dtype))
        .reshape(array.shape)
        for name, array in weights.items()
    }
    parts = [dict(list(as_torch.items())[i::shards]) for i in range(shards)]
    names = [f"pytorch_model-{i + 1:05}-of-{shards:05}.bin" for i in range(shards)]
    for name, part in zip(names, parts, strict=True):
        torch.save(part, tmp_path / "bin" / (name if shards > 1 else "pytorch_model.bin"))
    if shards > 1:
        write_index(tmp_path / "bin", {k: n for n, p in zip(names, parts, strict=True) for k in p})
    assert verify(tmp_path / "safe", tmp_path / "bin").equal


def test_what_transformers_reads(tmp_path):
    """One and the same .bin directory, by transformers and by us."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    finite = {k: np.nan_to_num(a, posinf=1, neginf=-1) for k, a in hf.weights(hf.TIED).items()}
    weights = {k: a.astype(ml_dtypes.bfloat16) for k, a in finite.items()}
    write(tmp_path, tensors=weights, shards=2)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    state = model.state_dict()
    for tensor in hf_files.find_tensors(tmp_path):
        theirs = state[tensor.name].contiguous().view(torch.uint8).numpy()
        assert theirs.tobytes() == tensor.read().tobytes(), tensor.name
