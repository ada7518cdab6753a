"""verify: what counts as equal, and what it says where something is not."""

import importlib.metadata
import json

import numpy as np
import pytest
from click.testing import CliRunner

from biomatrix_jax.cli import biomatrix
from biomatrix_jax.convert import verify as module
from biomatrix_jax.convert.compare.logits import LogitsTest
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.source import HFSource
from biomatrix_jax.convert.verify import verify
from biomatrix_jax.errors import BadInput
from tests.convert import hf
from tests.model import cases

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
    assert (content["tol"], content["rtol"], content["against"]) == (None, None, None)
    assert (content["tensors"], content["config"]) == (35, {})
    assert (content["test"], content["logits"]) == (None, None)
    assert content["dtypes"] == [["bfloat16"], ["bfloat16"]]
    assert content["versions"]["jax"] == importlib.metadata.version("jax")
    (difference,) = content["differences"]
    assert (difference["name"], difference["differing"], difference["size"]) == (NAME, 1, 256)
    assert difference["max_abs"] == content["max_abs"] > 99
    assert difference["max_rel"] == content["max_rel"]


def test_a_long_list_is_cut_in_the_text_only(pair):
    a, b, weights = pair
    hf.write_weights(a, {name: array.astype(np.float32) for name, array in weights.items()})
    report = verify(a, b)
    assert report.text().endswith("and 15 more tensors")
    assert len(report.text().splitlines()) == 22


def test_unreadable(pair, tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        verify(pair[0], tmp_path / "none")


@pytest.fixture
def finite(tmp_path):
    """As `pair`, in float32 and without NaN and infinities, so that logits are finite."""
    weights = cases.hf_weights(hf.TIED)
    for side in ("a", "b"):
        hf.write(tmp_path / side, hf.TIED, weights, dtype="float32")
    return tmp_path / "a", tmp_path / "b", weights


def test_relative_tolerance_alone(finite):
    a, b, weights = finite
    hf.write_weights(a, {name: array * np.float32(1.001) for name, array in weights.items()})
    report = verify(a, b, rtol=0.0011)
    assert report.equal
    assert (report.tol, report.rtol) == (0, 0.0011)
    assert report.max_rel == pytest.approx(0.001, rel=1e-2)
    assert report.text().startswith("equal within 0 + 0.0011 |b|: 35 tensors, largest difference")
    assert len(verify(a, b, rtol=0.0009).differences) == 35


def test_logits_of_equal_models(finite, tmp_path):
    a, _, _ = finite
    from_hf(a, tmp_path / "ckpt")
    test = LogitsTest(rows=3, length=40, seed=5)
    report = verify(a, tmp_path / "ckpt", logits=test)
    assert report.equal
    assert (report.test, report.logits.max_abs) == (test, 0)
    assert "equal bit for bit: 35 tensors\nlogits equal within" in report.text()
    content = json.loads(report.to_json())
    assert content["test"] == {"rows": 3, "length": 40, "seed": 5, "tol": 1e-4}
    assert content["logits"]["equal"] is True
    assert content["logits"]["dtype"] == "float32"
    assert content["logits"]["tokens"] == report.logits.tokens > 3 * 30


def test_logits_decide_where_tensors_pass(finite):
    a, b, weights = finite
    weights[NAME] = weights[NAME] + np.float32(0.01)
    hf.write_weights(a, weights)
    report = verify(a, b, tol=0.1, logits=LogitsTest())
    assert not report.differences
    assert not report.equal
    assert "equal within 0.1: 35 tensors" in report.text()
    assert "logits not equal within" in report.text()
    assert verify(a, b, tol=0.1, logits=LogitsTest(tol=1.0)).equal


def test_logits_of_nan_weights_are_no_proof(pair):
    a, b, _ = pair
    assert verify(a, b).equal
    report = verify(a, b, logits=LogitsTest(length=32))
    assert not report.equal
    assert report.logits.not_finite == report.logits.tokens
    assert json.loads(report.to_json())["logits"]["max_abs"] is None


def test_logits_over_other_vocabularies_are_not_compared(tmp_path):
    hf.write(tmp_path / "a", hf.TIED)
    hf.write(tmp_path / "b", hf.UNTIED)
    report = verify(tmp_path / "a", tmp_path / "b", logits=LogitsTest())
    assert not report.equal
    assert report.logits is None
    assert "logits not compared" in report.text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "name B"),
        ({"against": "transformers", "tol": 0.1}, "need a B"),
        ({"against": "transformers", "revision_b": "main"}, "need a B"),
    ],
)
def test_what_does_not_go_together(pair, arguments, said):
    with pytest.raises(BadInput, match=said):
        verify(pair[0], **arguments)


def test_rows_longer_than_the_model_are_refused(tmp_path):
    short = hf.ModelConfig(131, 16, 3, 4, 2, 8, 24, 1e6, 1e-6, True, 100)
    hf.write(tmp_path, short)
    with pytest.raises(BadInput, match="100 positions"):
        verify(tmp_path, tmp_path, logits=LogitsTest())


def run(*arguments):
    return CliRunner().invoke(biomatrix, ["convert", "verify", *map(str, arguments)])


def test_the_command(finite):
    a, b, weights = finite
    result = run(a, b)
    assert (result.exit_code, result.output) == (0, "equal bit for bit: 35 tensors\n")
    weights["model.norm.weight"] *= np.float32(1.001)
    hf.write_weights(a, weights)
    assert run(a, b).exit_code == 1
    result = run(a, b, "--rtol", 0.01, "--seed", 3, "--length", 64, "--logits-tol", 1, "--json")
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert content["test"] == {"rows": 2, "length": 64, "seed": 3, "tol": 1}
    assert content["logits"]["max_abs"] > 0
    assert run(a, b, "--rtol", 0.01, "--logits").exit_code == 1
    assert isinstance(run(a).exception, BadInput)


def test_hub_ids_and_revisions_arrive_as_they_are(finite, monkeypatch):
    a, b, _ = finite
    opened = []

    def open_source(path, revision=None):
        opened.append((path, revision))
        return HFSource(a if "/a" in path else b)

    monkeypatch.setattr(module, "open_source", open_source)
    assert run("hf://org/a", "org/b", "--revision-b", "v1").exit_code == 0
    assert opened == [("hf://org/a", None), ("org/b", "v1")]
