import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import vqvae, weights
from biomatrix_jax.structure.molecule.vqvae import VQVAEConfig

SMALL = VQVAEConfig(codes=5, hidden=3, latent=2)
SIZES = {"kind": "molstructok", "codes": 5, "hidden": 3, "latent": 2}


@pytest.fixture
def saved(tmp_path):
    tree = vqvae.init(SMALL, np.random.default_rng(3))
    weights.write(tmp_path / "tok", SMALL, tree)
    return tmp_path / "tok", tree


def change(path, edit):
    tensors = load_file(path / "model.safetensors")
    edit(tensors)
    save_file(tensors, path / "model.safetensors")


def test_round_trip_is_bit_identical(saved):
    path, tree = saved
    config, again = weights.read(path)
    assert config == SMALL
    assert jax.tree.structure(again) == jax.tree.structure(tree)
    for one, two in zip(jax.tree.leaves(tree), jax.tree.leaves(again), strict=True):
        assert np.asarray(one).tobytes() == two.tobytes()


def test_names_are_paths(saved):
    path, tree = saved
    tensors = load_file(path / "model.safetensors")
    np.testing.assert_array_equal(
        tensors["heads.sign.linear_2.weight"], tree["heads"]["sign"]["linear_2"]["weight"]
    )
    assert {"codebook", "encoder.norm_0.mean"} < set(tensors)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(saved, name):
    path, _ = saved
    (path / name).unlink()
    with pytest.raises(BadInput, match=f"no {name}"):
        weights.read(path)


def test_truncated_tensors(saved):
    path, _ = saved
    content = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match="cannot be read"):
        weights.read(path)


def test_missing_and_unexpected_tensors_are_named(saved):
    path, _ = saved
    change(path, lambda tensors: tensors.update(stray=tensors.pop("codebook")))
    with pytest.raises(BadInput, match="missing codebook; unexpected stray"):
        weights.read(path)


@pytest.mark.parametrize("other", [np.zeros((5, 3), np.float32), np.zeros((5, 2), np.float16)])
def test_shape_and_dtype_are_checked(saved, other):
    path, _ = saved
    change(path, lambda tensors: tensors.update(codebook=other))
    with pytest.raises(BadInput, match=r"codebook is .*calls for float32\[5, 2\]"):
        weights.read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(saved, value):
    path, _ = saved

    def edit(tensors):
        tensors["heads.sign.norm_1.variance"][1] = value

    change(path, edit)
    with pytest.raises(BadInput, match=r"heads\.sign\.norm_1\.variance has values that are not"):
        weights.read(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ("[]", "should hold a JSON object"),
        (json.dumps({"kind": "llama", "codes": 5}), "not a molecule tokenizer"),
        (json.dumps(SIZES | {"code": 5}), "did you mean codes"),
        (json.dumps(SIZES | {"codes": "5"}), "codes must be"),
        (json.dumps(SIZES | {"codes": -5}), "codes must be a positive integer, not -5"),
        (json.dumps(SIZES | {"codes": 2.5}), "codes must be"),
        (json.dumps(SIZES | {"codes": 10**13}), r"calls for float32\[10000000000000, 2\]"),
        (json.dumps(SIZES | {"hidden": 10**400}), "calls for float32"),
        (json.dumps({"kind": "molstructok"}), "lacks codes, hidden, latent"),
        (json.dumps({"kind": "molstructok", "codes": 5, "latent": 2}), "lacks hidden"),
    ],
)
def test_bad_config(saved, text, problem):
    path, _ = saved
    (path / "config.json").write_text(text)
    with pytest.raises(BadInput, match=problem):
        weights.read(path)


def test_writing_never_replaces(saved):
    path, _ = saved
    before = (path / "model.safetensors").read_bytes()
    with pytest.raises(BadInput, match="exists already"):
        weights.write(path, SMALL, vqvae.init(SMALL, np.random.default_rng(9)))
    assert (path / "model.safetensors").read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["tok"]
