"""compare_logits: what it measures, what it notices, and what it never has in memory."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import biomatrix_jax as bm
from biomatrix_jax.convert.compare import logits as module
from biomatrix_jax.convert.compare.logits import (
    LogitsTest,
    compare_logits,
    our_logits,
)
from biomatrix_jax.convert.compare.random_rows import Rows, random_rows
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.errors import BadInput
from tests.convert import hf
from tests.model import cases

TOKENS = Rows(*(np.ones((1, 3), np.int32),) * 3)  # three tokens, no padding


def measure(a, b, rows=TOKENS, tol=1e-4):
    sides = (np.asarray(side, np.float32) for side in (a, b))
    return compare_logits(*([side] for side in sides), rows, tol)


def make(directory, config=hf.TIED):
    hf.write(directory, config, cases.hf_weights(config), dtype="float32")
    return directory


@pytest.fixture(scope="module")
def rows():
    return random_rows(3, 96, 0, hf.TIED.vocab_size, hf.TIED.max_positions)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make(tmp_path_factory.mktemp("model"))


def test_logits_are_those_of_the_decoder_without_the_padding(model, rows, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 10 * 4 * hf.TIED.vocab_size)
    chunks = list(our_logits(model, rows))
    assert max(map(len, chunks)) == 10  # tokens of logits at a time
    whole = np.asarray(bm.load(model, dtype="float32")(*map(jnp.asarray, rows)))
    np.testing.assert_allclose(np.concatenate(chunks), whole[rows.segment_ids > 0], atol=3e-5)


@pytest.mark.parametrize("config", [hf.TIED, hf.UNTIED])
def test_a_checkpoint_gives_the_logits_of_its_directory(tmp_path, config):
    directory = make(tmp_path / "hf", config)
    from_hf(directory, tmp_path / "ckpt")
    rows = random_rows(2, 64, 1, config.vocab_size, config.max_positions)
    report = compare_logits(
        our_logits(directory, rows), our_logits(tmp_path / "ckpt", rows), rows, 0
    )
    assert report.equal
    assert (report.max_abs, report.max_rel, report.kl_max, report.top1) == (0, 0, 0, 1)
    assert report.tokens == (rows.segment_ids > 0).sum()


def broken(rows):
    """What an implementation may get wrong in packed rows."""
    counted = np.broadcast_to(np.arange(rows.tokens.shape[1], dtype=np.int32), rows.tokens.shape)
    return {
        "segments ignored": rows._replace(segment_ids=np.minimum(rows.segment_ids, 1)),
        "given positions ignored": rows._replace(positions=counted),
        "one token off": rows._replace(tokens=np.roll(rows.tokens, 1, axis=1)),
    }


@pytest.mark.parametrize("fault", ["segments ignored", "given positions ignored", "one token off"])
def test_what_is_wrong_with_packing_is_noticed(model, rows, fault):
    wrong = our_logits(model, broken(rows)[fault])
    report = compare_logits(wrong, our_logits(model, rows), rows, 1e-4)
    assert not report.equal
    assert report.max_abs > 100 * report.bound
    assert report.kl_max > 1e-3
    assert report.top1 < 1
    row, index = report.worst
    assert rows.segment_ids[row, index] > 0
    if fault == "given positions ignored":
        assert row == 2  # the others count by themselves: distances are as given
    if fault == "segments ignored":
        assert rows.segment_ids[row, index] > 1  # the first document has nothing before it


@pytest.mark.parametrize("change", [{"rope_theta": 1.01e6}, {"norm_eps": 1e-4}])
def test_another_function_of_the_same_weights_is_noticed(tmp_path, model, rows, change):
    other = dataclasses.replace(hf.TIED, **change)
    hf.write(tmp_path, other, cases.hf_weights(hf.TIED), dtype="float32")
    report = compare_logits(our_logits(model, rows), our_logits(tmp_path, rows), rows, 1e-4)
    assert not report.equal


def test_the_measures():
    b = [[1.0, 2.0, 4.0], [0.0, -8.0, 0.0], [0.0, 0.0, 1.0]]
    a = [[1.0, 2.5, 4.0], [0.0, -9.0, 0.5], [0.0, 0.0, 1.0]]
    report = measure(a, b)
    assert report.max_abs == 1.0
    assert report.max_rel == 0.125  # of each token's largest: 0.5 / 4, 1 / 8, 0
    assert report.mean_abs == pytest.approx((0.5 + 1.5) / 9)
    assert report.worst == (0, 1)
    p = [np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in map(np.asarray, (a, b))]
    kl = (p[1] * np.log(p[1] / p[0])).sum(-1)
    assert report.kl_max == pytest.approx(kl.max())
    assert report.kl_mean == pytest.approx(kl.mean())
    assert report.top1 == pytest.approx(2 / 3)
    assert report.bound == pytest.approx(1e-4 * math.sqrt((21 + 64 + 1) / 9))
    assert not report.equal


def test_the_bound_follows_logits_larger_than_one():
    b = np.full((3, 4), 10.0)
    assert measure(b, b).bound == pytest.approx(1e-3)
    assert measure(b * 1e-3, b * 1e-3).bound == pytest.approx(1e-4)
    assert measure(b + 0.0009, b).equal
    assert not measure(b + 0.0011, b).equal
    assert measure(b + 0.0011, b, tol=1.2e-4).equal


def test_worst_counts_in_rows_with_padding():
    rows = Rows(*np.zeros((3, 2, 3), np.int32))
    rows.segment_ids[:] = [[1, 0, 0], [1, 1, 0]]
    b = np.zeros((3, 5))
    a = b.copy()
    a[2, 4] = 1
    assert measure(a, b, rows).worst == (1, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_agree_with_nothing(value):
    b = np.ones((3, 4))
    a = b.copy()
    a[1, 2] = b[1, 2] = value
    report = measure(a, b)
    assert not report.equal
    assert (report.not_finite, report.tokens, report.max_abs, report.kl_max) == (1, 3, 0, 0)
    assert "logits of 1 tokens are NaN or infinite" in report.text()
    report = measure(np.full((3, 4), value), b)
    assert not report.equal
    assert report.not_finite == 3
    assert math.isnan(report.max_abs)


def test_the_sides_may_come_in_different_pieces():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 30, 7)).astype(np.float32)
    rows = Rows(*(np.ones((1, 30), np.int32),) * 3)
    pieces = compare_logits([a[:11], a[11:]], [b[:3], b[3:20], b[20:]], rows, 1e-4)
    assert pieces == compare_logits([a], [b], rows, 1e-4)


def test_one_model_in_memory_at_a_time(model, rows, monkeypatch):
    def held():
        return sum(array.nbytes for array in jax.live_arrays())

    def load(path, dtype):
        before.append(held())
        loaded = bm.load(path, dtype=dtype)
        after.append(held())
        return loaded

    before, after = [], []
    chunk = 10 * 4 * hf.TIED.vocab_size
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(module, "load", load)
    compare_logits(our_logits(model, rows), our_logits(model, rows), rows, 0)
    size = after[0] - before[0]
    assert size > 4 * chunk
    assert len(before) == 2
    assert before[1] <= before[0] + chunk  # the last logits are still there, no parameters


def test_no_room_for_the_logits(model, rows, monkeypatch):
    class Full:
        def write(self, _):
            raise OSError(28, "No space left on device")

    with pytest.raises(BadInput, match="No space left on device"):
        module._write(Full(), np.zeros(3))


@pytest.mark.parametrize("bad", [{"tol": -1.0}, {"tol": math.nan}, {"tol": math.inf}, {"seed": -1}])
def test_tests_that_tell_nothing_are_refused(bad):
    with pytest.raises(BadInput):
        LogitsTest(**bad)
