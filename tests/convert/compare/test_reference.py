"""The reference: transformers beside our decoder, on rows packed the same way."""

import importlib.util
import json

import numpy as np
import pytest

from biomatrix_jax.config import ModelConfig
from biomatrix_jax.convert.compare import reference
from biomatrix_jax.convert.compare.logits import LogitsTest, compare_logits, our_logits
from biomatrix_jax.convert.compare.random_rows import random_rows
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.verify import verify
from biomatrix_jax.errors import BadInput
from tests.convert import hf
from tests.model import cases

CASES = {
    "tied": hf.TIED,
    "untied": hf.UNTIED,
    # The published models' heads: 64 frequencies, all of which positions of 40,000 show.
    "wide_heads": ModelConfig(500, 64, 4, 4, 2, 128, 96, 1e6, 1e-6, False, 40_960),
}
missing = [name for name in reference.LIBRARIES if importlib.util.find_spec(name) is None]
live = pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} not installed")


def make(directory, config=hf.TIED, seed=0):
    weights = cases.hf_weights(config, seed)
    hf.write(directory, config, weights, dtype="float32")
    return weights


@pytest.mark.parametrize("absent", [["torch"], ["transformers"], ["torch", "transformers"]])
def test_what_to_install(tmp_path, monkeypatch, absent):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in absent else found("json")
    )
    with pytest.raises(BadInput, match=f"{' and '.join(absent)} not installed: pip install"):
        verify(tmp_path / "not looked at", against="transformers")


def test_only_a_known_reference(tmp_path):
    with pytest.raises(BadInput, match="known is 'transformers'"):
        verify(tmp_path, against="transformer")


def test_each_token_sees_its_document_so_far():
    mask = reference._additive_mask(np.array([[1, 1, 2, 2, 0]]))
    sees = [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]]
    assert mask.dtype == np.float32
    assert ((mask[0] == 0) == np.array(sees, bool)).all()
    assert (mask[mask != 0] < -1e38).all()


@live
@pytest.mark.parametrize("name", CASES)
def test_our_logits_are_its_logits(tmp_path, name):
    make(tmp_path, CASES[name])
    report = verify(tmp_path, against="transformers")
    assert report.equal, report.text()
    assert 0 < report.logits.max_abs < 1e-4
    assert report.logits.kl_max < 1e-9
    assert report.logits.top1 == 1
    assert (report.b, report.tensors) == (None, 0)
    assert report.text().endswith("(transformers computed B's)")
    content = json.loads(report.to_json())
    assert content["against"] == "transformers"
    assert {"torch", "transformers", "jax"} <= content["versions"].keys()


@live
def test_it_reads_each_document_as_if_it_were_alone(tmp_path):
    from tests.model.make_golden import reference_logits, reference_model

    weights = make(tmp_path)
    rows = random_rows(2, 80, 3, hf.TIED.vocab_size, hf.TIED.max_positions)
    got = np.concatenate(list(reference.reference_logits(tmp_path, rows)))
    model = reference_model(hf.TIED, weights)
    first = rows.segment_ids[0]
    alone = [
        reference_logits(model, rows.tokens[:1, first == document])
        for document in range(1, first.max() + 1)
    ]
    want = np.concatenate(alone)
    np.testing.assert_allclose(got[: len(want)], want, atol=2e-5)


@live
def test_a_checkpoint_is_exported_for_it(tmp_path):
    weights = make(tmp_path / "hf")
    from_hf(tmp_path / "hf", tmp_path / "ckpt")
    assert verify(tmp_path / "ckpt", against="transformers").equal
    report = verify(tmp_path / "hf", tmp_path / "ckpt", against="transformers")
    assert report.equal
    assert report.tensors == len(weights)


@live
def test_it_computes_b_and_we_a(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b", seed=1)
    report = verify(tmp_path / "a", tmp_path / "b", against="transformers")
    assert not report.equal
    assert not report.logits.equal
    assert len(report.differences) == report.tensors == 35
    rows = random_rows(2, 256, 0, hf.TIED.vocab_size, hf.TIED.max_positions)
    theirs = reference.reference_logits(tmp_path / "b", rows)
    assert compare_logits(our_logits(tmp_path / "b", rows), theirs, rows, 1e-4).equal


@live
def test_another_theta_there_is_noticed(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b")
    hf.edit_config(tmp_path / "b", rope_parameters={"rope_type": "default", "rope_theta": 1.01e6})
    report = verify(
        tmp_path / "a", tmp_path / "b", against="transformers", logits=LogitsTest(3, 64)
    )
    assert report.config == {"rope_theta": [1e6, 1.01e6]}
    assert not report.logits.equal


@live
def test_what_it_would_make_up_is_refused(tmp_path):
    weights = make(tmp_path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    weights["model.layers.1.mlp.more"] = np.zeros(3, np.float32)
    hf.write_weights(tmp_path, weights)
    rows = random_rows(2, 32, 0, 50, 64)
    with pytest.raises(BadInput, match=r"missing .*up_proj.*; unexpected .*more"):
        next(reference.reference_logits(tmp_path, rows))


@live
def test_code_in_the_directory_is_not_run(tmp_path):
    make(tmp_path / "hf")
    hf.edit_config(tmp_path / "hf", auto_map={"AutoModelForCausalLM": "modeling_own.Own"})
    marker = tmp_path / "was here"
    (tmp_path / "hf" / "modeling_own.py").write_text(f"open({str(marker)!r}, 'w')\n")
    assert verify(tmp_path / "hf", against="transformers").equal
    assert not marker.exists()
