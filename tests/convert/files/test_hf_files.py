"""Weights in one file or several: the index tells exactly what is there, and nothing outside."""

import json
import os

import numpy as np
import pytest

from biomatrix_jax.convert.files import hf_files
from biomatrix_jax.convert.files.stored import Spec
from biomatrix_jax.errors import BadInput
from tests.convert import hf


@pytest.fixture
def weights():
    return hf.weights(hf.TIED)


@pytest.mark.parametrize("shards", [1, 3])
def test_finds_every_tensor(tmp_path, weights, shards):
    hf.write_weights(tmp_path, weights, shards)
    found = hf_files.find_tensors(tmp_path)
    assert len(found) == len(weights)
    hf.assert_same_bits({t.name: t.read() for t in found}, weights)
    assert len({t.file for t in found}) == shards


@pytest.mark.parametrize("limit", [10**9, 5000, 1])
def test_written_files_hold_everything_and_the_index_says_where(tmp_path, weights, limit):
    specs = [Spec(name, a.dtype, a.shape) for name, a in weights.items()]
    hf_files.write_tensors(tmp_path, specs, ([array] for array in weights.values()), limit)
    hf.assert_same_bits(hf.read_weights(tmp_path), weights)
    assert len(hf_files.find_tensors(tmp_path)) == len(weights)
    files = sorted(path.name for path in tmp_path.iterdir())
    total = sum(a.nbytes for a in weights.values())
    if limit == 10**9:
        assert files == ["model.safetensors"]
        return
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_parameters": total // 2, "total_size": total}
    assert index["weight_map"].keys() == weights.keys()
    count = len(files) - 1
    names = [f"model-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1)]
    assert files == [*names, "model.safetensors.index.json"]
    if limit == 1:
        assert count == len(weights)  # a tensor that is larger has a file to itself
    for name in names if limit > 1 else []:
        assert sum(a.nbytes for k, a in weights.items() if index["weight_map"][k] == name) <= limit


def test_shards_are_filled_in_order():
    specs = [
        Spec(name, np.dtype("f2"), (size,))
        for name, size in zip("abcde", [3, 2, 9, 1, 4], strict=True)
    ]
    shards = hf_files.plan_shards(specs, 10)
    assert ["".join(s.name for s in shard) for shard in shards] == ["ab", "c", "de"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5 * 10**9), ("500MB", 5 * 10**8), ("1.5 GiB", 3 * 2**29), ("20kb", 20_000), (7, 7)],
)
def test_sizes(text, size):
    assert hf_files.parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "5XB", "-5GB", "0", 0, "5 GB and more", "0.1", "9" * 400]
)
def test_sizes_that_are_none(text):
    with pytest.raises(BadInput, match="shard size"):
        hf_files.parse_size(text)


def test_no_weights(tmp_path):
    (tmp_path / "tf_model.h5").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"holds no weights: neither model\.safetensors nor"):
        hf_files.find_tensors(tmp_path)


def test_two_answers(tmp_path, weights):
    hf.write_weights(tmp_path, weights, 2)
    hf.write_weights(tmp_path, weights, 1)
    with pytest.raises(BadInput, match="holds both"):
        hf_files.find_tensors(tmp_path)


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "a/b", "..", "", "a\\b", "\0"])
def test_index_pointing_outside(tmp_path, weights, name):
    hf.write_weights(tmp_path, weights, 2)
    (tmp_path.parent / "x.safetensors").write_bytes(b"secret")
    hf.write_index(tmp_path, dict.fromkeys(weights, name))
    with pytest.raises(BadInput, match="outside the directory"):
        hf_files.find_tensors(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "\ud800", "x" * 5000, "a\nb\x1b[31m", "%s", "ü"])
def test_index_naming_what_cannot_be_there(tmp_path, weights, name):
    hf.write_index(tmp_path, dict.fromkeys(weights, name))
    with pytest.raises(BadInput, match="which is not there") as error:
        hf_files.find_tensors(tmp_path)
    assert str(error.value).isprintable()


def test_index_naming_a_missing_file(tmp_path, weights):
    hf.write_weights(tmp_path, weights, 2)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(BadInput, match=r"names 'model-00002.*which is not there"):
        hf_files.find_tensors(tmp_path)


def read_map(directory):
    return json.loads((directory / "model.safetensors.index.json").read_text())["weight_map"]


def test_index_and_files_disagree(tmp_path, weights):
    hf.write_weights(tmp_path, weights, 2)
    weight_map = read_map(tmp_path)
    del weight_map["model.norm.weight"]
    weight_map["model.extra"] = "model-00001-of-00002.safetensors"
    hf.write_index(tmp_path, weight_map)
    with pytest.raises(BadInput) as error:
        hf_files.find_tensors(tmp_path)
    assert "1 named but not there: model.extra in model-00001-of-00002" in str(error.value)
    assert "1 there but not named: model.norm.weight in model-0000" in str(error.value)


def test_a_key_in_two_files_is_listed_twice(tmp_path, weights):
    hf.write_weights(tmp_path, weights, 2)
    file = "model-00002-of-00002.safetensors"
    part = {name: weights[name] for name, f in read_map(tmp_path).items() if f == file}
    part["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"]
    hf.save_file(part, tmp_path / file)
    names = [t.name for t in hf_files.find_tensors(tmp_path)]
    assert names.count("model.embed_tokens.weight") == 2


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {}}', b'{"weight_map": {"a": 1}}',
     b'{"weight_map": {"a": "x", "a": "y"}}', b"\xff", b"[" * 200_000],
)  # fmt: skip
def test_broken_index(tmp_path, content):
    (tmp_path / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"model\.safetensors\.index\.json") as error:
        hf_files.find_tensors(tmp_path)
    assert "\n" not in str(error.value)


def test_truncated_shard(tmp_path, weights):
    hf.write_weights(tmp_path, weights, 2)
    file = tmp_path / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadInput, match=f"{file}: truncated"):
        hf_files.find_tensors(tmp_path)


LINKED = ["model.safetensors", "model.safetensors.index.json", "model-00001-of-00002.safetensors"]


@pytest.mark.parametrize("name", LINKED)
def test_links_that_leave_the_directory(tmp_path, weights, name):
    src = tmp_path / "src"
    src.mkdir()
    hf.write_weights(src, weights, 1 if name == LINKED[0] else 2)
    (src / name).rename(tmp_path / "elsewhere")
    (src / name).symlink_to("../elsewhere")
    with pytest.raises(BadInput, match=f"src/{name} leads out of the directory, to .*elsewhere"):
        hf_files.find_tensors(src)
    (tmp_path / "elsewhere").rename(src / "own")
    (src / name).unlink()
    (src / name).symlink_to("own")
    assert len(hf_files.find_tensors(src)) == len(weights)


@pytest.mark.parametrize("name", LINKED)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda p: os.symlink("/dev/zero", p)])
def test_pipes_folders_and_devices_are_no_files(tmp_path, weights, name, make):
    hf.write_weights(tmp_path, weights, 1 if name == LINKED[0] else 2)
    (tmp_path / name).unlink()
    make(tmp_path / name)
    with pytest.raises(BadInput, match=f"{name} is a link to nothing, or no file"):
        hf_files.find_tensors(tmp_path)
