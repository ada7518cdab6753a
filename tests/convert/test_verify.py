"""verify: what counts as equal, and what it says where something is not."""

import json

import numpy as np
import pytest

from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.verify import verify
from biomatrix_jax.errors import BadInput
from tests.convert import hf

NAME = "model.layers.1.self_attn.k_proj.weight"


@pytest.fixture
def pair(tmp_path):
    """Two directories of equal weights, the second in three files; and those weights."""
    weights = hf.write(tmp_path / "a", hf.TIED)
    hf.write(tmp_path / "b", hf.TIED, form=4, shards=3)
    return tmp_path / "a", tmp_path / "b", weights


def test_any_two_forms_are_compared(pair, tmp_path):
    a, b, _ = pair
    from_hf(a, tmp_path / "ckpt")
    for one, two in ((a, b), (a, tmp_path / "ckpt"), (tmp_path / "ckpt" / "0", b), (a, a)):
        report = verify(one, two)
        assert report.equal
        assert report.tensors == 3 * 11 + 2
        assert report.text() == "equal bit for bit: 35 tensors"


def test_one_changed_bit(pair, tmp_path):
    a, b, weights = pair
    from_hf(a, tmp_path / "ckpt")
    weights[NAME].view(np.uint16)[3, 2] ^= 1
    hf.write_weights(a, weights)
    for other in (b, tmp_path / "ckpt"):
        report = verify(a, other)
        assert not report.equal
        (difference,) = report.differences
        assert difference.name == NAME
        was, is_ = (float(hf.read_weights(side)[NAME][3, 2]) for side in (b, a))
        assert difference.max_abs == abs(was - is_) > 0
        assert difference.max_rel == pytest.approx(abs(was - is_) / abs(was))
        assert (difference.differing, difference.size) == (1, 256)
        assert difference.problem.startswith("1 of 256 values differ")
        assert NAME in report.text()


def test_minus_zero_is_not_zero_to_the_bit(pair):
    a, b, weights = pair
    weights[NAME][0, 0] = 0.0
    hf.write_weights(a, weights)
    (b / "model.safetensors.index.json").unlink()
    weights[NAME][0, 0] = -0.0
    hf.write_weights(b, weights)
    assert [d.name for d in verify(a, b).differences] == [NAME]
    assert verify(a, b, tol=0).equal


def test_tolerance(pair):
    a, b, weights = pair
    changed = {name: array.astype(np.float32) for name, array in weights.items()}
    changed[NAME][3, 2] += 0.25
    hf.write_weights(a, changed)
    report = verify(a, b)
    assert len(report.differences) == 35
    assert "float32 in A, bfloat16 in B" in report.text()
    assert verify(a, b, tol=0.25).equal
    assert verify(a, b, tol=0.25).max_abs == 0.25
    report = verify(a, b, tol=0.2)
    (difference,) = report.differences
    assert (difference.name, difference.max_abs) == (NAME, 0.25)
    relative = 0.25 / abs(float(weights[NAME][3, 2]))  # to B's value
    assert difference.max_rel == pytest.approx(relative)
    assert "1 of 256 values differ, by 0.25 at most" in report.text()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_within_no_tolerance(pair, value):
    a, b, weights = pair
    weights[NAME][3, 2] = value
    hf.write_weights(a, weights)
    report = verify(a, b, tol=1e30)
    assert [d.name for d in report.differences] == [NAME]
    content = json.loads(report.to_json())  # JSON knows no infinity
    assert content["differences"][0]["max_abs"] is None
    assert verify(a, a, tol=0).equal


@pytest.mark.parametrize("tol", [float("nan"), float("inf"), -1.0])
def test_a_tolerance_that_tells_nothing_is_refused(pair, tol):
    with pytest.raises(BadInput, match="tolerance"):
        verify(*pair[:2], tol=tol)


def test_other_architectures(tmp_path):
    wider = hf.ModelConfig(140, 16, 4, 4, 2, 8, 24, 1e4, 1e-6, False, 40_960)
    hf.write(tmp_path / "a", hf.TIED)
    hf.write(tmp_path / "b", wider)
    report = verify(tmp_path / "a", tmp_path / "b")
    assert not report.equal
    assert report.config == {
        "vocab_size": [131, 140],
        "layers": [3, 4],
        "rope_theta": [1e6, 1e4],
        "tied_embeddings": [True, False],
    }
    problems = {d.name: d.problem for d in report.differences}
    assert problems["model.embed_tokens.weight"] == "shape [131, 16] in A, [140, 16] in B"
    assert problems["lm_head.weight"] == "only in B"
    assert problems["model.layers.3.mlp.up_proj.weight"] == "only in B"
    assert "config rope_theta: 1000000.0 in A, 10000.0 in B" in report.text()


def test_the_same_weights_with_another_theta_are_another_model(pair):
    a, b, _ = pair
    hf.edit_config(b, rope_theta=10_000)
    report = verify(a, b)
    assert (report.equal, report.differences) == (False, [])


def test_json_says_it_all(pair):
    a, b, weights = pair
    weights[NAME][3, 2] = 100
    hf.write_weights(a, weights)
    content = json.loads(verify(a, b).to_json())
    assert (content["equal"], content["a"], content["b"]) == (False, str(a), str(b))
    assert (content["tol"], content["tensors"], content["config"]) == (None, 35, {})
    assert content["differences"][0]["name"] == NAME


def test_a_long_list_is_cut_in_the_text_only(pair):
    a, b, weights = pair
    hf.write_weights(a, {name: array.astype(np.float32) for name, array in weights.items()})
    report = verify(a, b)
    assert report.text().endswith("and 15 more tensors")
    assert len(report.text().splitlines()) == 22


def test_unreadable(pair, tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        verify(pair[0], tmp_path / "none")
