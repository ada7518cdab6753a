"""compare_tensors: every block is looked at, belongs to its layer, and is all that is read."""

import math

import ml_dtypes
import numpy as np
import pytest

from biomatrix_jax import blocks
from biomatrix_jax.convert import names
from biomatrix_jax.convert.compare import tensors as module
from biomatrix_jax.convert.compare.tensors import Tolerance, compare_tensors
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.source import CheckpointSource, HFSource
from biomatrix_jax.errors import BadInput
from tests.convert import hf
from tests.model import cases

LIMIT = 200  # bytes of a block in these tests: less than any matrix of a layer has
NAMES = [n.format(i % 3) for i, n in enumerate(names.NAMES.values()) if n != names.HEAD]
K_PROJ = "model.layers.1.self_attn.k_proj.weight"


@pytest.fixture
def small_blocks(monkeypatch):
    def cut(shape, itemsize):
        return blocks.blocks(shape, itemsize, LIMIT)

    monkeypatch.setattr(module, "blocks", cut)
    monkeypatch.setattr(module, "_MEASURED", 7)


class Spy:
    """A source that tells what was read of it."""

    def __init__(self, source):
        self.source = source
        self.config, self.specs = source.config, source.specs
        self.reads = []

    def read(self, path, index=()):
        array = self.source.read(path, index)
        self.reads.append((path, array.shape, array.nbytes))
        return array


def write(directory, weights, dtype="float32"):
    cast = {name: array.astype(hf.numpy_dtype(dtype)) for name, array in weights.items()}
    hf.write(directory, hf.TIED, cast, dtype=dtype)
    return HFSource(directory)


@pytest.fixture
def weights():
    return cases.hf_weights(hf.TIED)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """By dtype: weights, and a directory and a checkpoint of them."""
    sides = {}
    for dtype in hf.DTYPES:
        directory = tmp_path_factory.mktemp(dtype)
        one = write(directory / "a", cases.hf_weights(hf.TIED), dtype)
        from_hf(directory / "a", directory / "ckpt")
        sides[dtype] = one, CheckpointSource(directory / "ckpt")
    return sides


@pytest.mark.parametrize("dtype", hf.DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_one_flipped_bit_is_found_wherever_it_is(tmp_path, small_blocks, unchanged, dtype, name):
    weights = {k: v.astype(hf.numpy_dtype(dtype)) for k, v in cases.hf_weights(hf.TIED).items()}
    last = weights[name].reshape(-1)[-1:]  # of the tensor, and of its last block
    was = float(last[0])
    last.view(f"u{last.itemsize}")[0] ^= 1
    two = write(tmp_path, weights, dtype)
    for one in unchanged[dtype]:
        found = compare_tensors(one, two, None)
        assert found.count == 35
        (difference,) = found.differences
        assert (difference.name, difference.differing) == (name, 1)
        assert difference.size == weights[name].size
        assert difference.max_abs == found.max_abs == abs(was - float(last[0])) > 0


def test_memory_holds_a_block_of_each_side(tmp_path, small_blocks, weights):
    one = Spy(write(tmp_path / "a", weights))
    two = Spy(write(tmp_path / "b", weights, "bfloat16"))
    found = compare_tensors(one, two, Tolerance(1.0))
    assert not found.differences
    assert max(nbytes for *_, nbytes in one.reads) <= LIMIT
    assert [read[:2] for read in one.reads] == [read[:2] for read in two.reads]
    total = sum(array.nbytes for array in weights.values())
    assert sum(nbytes for *_, nbytes in one.reads) == total  # all of it, nothing twice
    assert all(shape[0] == 1 for path, shape, _ in one.reads if len(shape) > 2)


def test_nothing_is_read_to_see_that_dtypes_differ(tmp_path, weights):
    one = Spy(write(tmp_path / "a", weights))
    two = Spy(write(tmp_path / "b", weights, "bfloat16"))
    found = compare_tensors(one, two, None)
    assert len(found.differences) == found.count == 35
    assert {d.problem for d in found.differences} == {"float32 in A, bfloat16 in B"}
    assert one.reads == two.reads == []


def test_norms_that_share_a_block_are_told_apart_by_layer(tmp_path, weights):
    one = write(tmp_path / "a", weights)
    for layer, change in ((0, 0.5), (2, 0.25)):
        weights[f"model.layers.{layer}.input_layernorm.weight"][3] += np.float32(change)
    found = compare_tensors(one, write(tmp_path / "b", weights), None)
    assert {d.name: d.max_abs for d in found.differences} == {
        "model.layers.0.input_layernorm.weight": pytest.approx(0.5),
        "model.layers.2.input_layernorm.weight": pytest.approx(0.25),
    }
    assert found.max_abs == pytest.approx(0.5)


def difference(tmp_path, a, b, within, dtypes=("float32", "float32")):
    """Compares models that are zero but for the first values of one matrix."""
    sides = []
    for name, values, dtype in zip("ab", (a, b), dtypes, strict=True):
        weights = {k: np.zeros(s, np.float32) for k, s in cases.hf_shapes(hf.TIED).items()}
        weights[K_PROJ][0, : len(values)] = values
        sides.append(write(tmp_path / name, weights, dtype))
    found = compare_tensors(*sides, within)
    assert len(found.differences) <= 1
    return found, next(iter(found.differences), None)


@pytest.mark.parametrize(
    ("tol", "rtol", "differing"),
    [
        (0.25, 0.0, 0),  # |a - b| is 0.25 and 0.0625, |b| is 2 and 0.5
        (0.2499, 0.0, 1),
        (0.0624, 0.0, 2),
        (0.0, 0.125, 0),
        (0.0, 0.1249, 2),
        (0.05, 0.1, 0),
        (0.0, 0.0, 2),
    ],
)
def test_tolerances_add_up_and_are_relative_to_b(tmp_path, tol, rtol, differing):
    found, tensor = difference(tmp_path, [2.25, -0.4375], [2.0, -0.5], Tolerance(tol, rtol))
    assert (found.max_abs, found.max_rel) == (0.25, 0.125)
    assert (tensor.differing if tensor else 0) == differing
    if tensor:
        assert (tensor.max_abs, tensor.max_rel) == (0.25, 0.125)


def test_relative_to_b_and_not_to_a(tmp_path):
    within = Tolerance(0.0, 0.5)
    assert difference(tmp_path, [2.0], [1.0], within)[1].max_rel == 1.0
    assert difference(tmp_path, [1.0], [2.0], within)[1] is None


@pytest.mark.parametrize(
    ("a", "b", "agree"),
    [
        (np.nan, np.nan, True),
        (np.inf, np.inf, True),
        (-np.inf, np.inf, False),
        (np.nan, 1.0, False),
        (1.0, np.nan, False),
        (1.0, np.inf, False),  # an infinite |b| makes no room
        (0.0, -0.0, True),
    ],
)
@pytest.mark.parametrize("dtypes", [("float32", "float32"), ("float32", "bfloat16")])
def test_what_is_not_finite(tmp_path, a, b, agree, dtypes):
    found, tensor = difference(tmp_path, [a], [b], Tolerance(1e30, 1e30), dtypes)
    assert (tensor is None) == agree
    assert found.max_abs == (0 if agree else math.inf)


def test_bits_differ_where_values_do_not(tmp_path):
    found, tensor = difference(tmp_path, [0.0], [-0.0], None)
    assert (tensor.differing, tensor.max_abs, tensor.max_rel) == (1, 0.0, 0.0)
    other_nan = np.array([0x7FC00001], np.uint32).view(np.float32)
    found, tensor = difference(tmp_path, other_nan, [np.nan], None)
    assert (tensor.differing, tensor.max_abs, found.max_abs) == (1, 0.0, 0.0)


def test_relative_to_nothing_is_infinite(tmp_path):
    found, tensor = difference(tmp_path, [0.5], [0.0], Tolerance(1.0))
    assert tensor is None
    assert (found.max_abs, found.max_rel) == (0.5, math.inf)


def test_distances_are_exact_where_float32_would_round(tmp_path):
    big, small = 2.0**20, 2.0**-10
    found, _ = difference(tmp_path, [big], [small], Tolerance(1e9))
    assert found.max_abs == big - small
    assert float(np.float32(big) - np.float32(small)) == big


def test_values_are_compared_across_dtypes(tmp_path, weights):
    one, two = write(tmp_path / "a", weights), write(tmp_path / "b", weights, "bfloat16")
    largest = max(
        np.abs(array - array.astype(ml_dtypes.bfloat16).astype(np.float32)).max()
        for array in weights.values()
    )
    assert compare_tensors(one, two, Tolerance(1.0)).max_abs == largest > 0
    assert not compare_tensors(one, two, Tolerance(0.0, 2**-8)).differences
    assert compare_tensors(one, two, Tolerance(0.0, 2**-10)).differences


def test_layers_that_both_have_are_compared(tmp_path, weights):
    one = write(tmp_path / "a", weights)
    fewer = hf.ModelConfig(**(vars(hf.TIED) | {"layers": 2}))
    weights[K_PROJ][0, 0] += 1
    kept = {name: weights[name] for name in cases.hf_shapes(fewer)}
    hf.write(tmp_path / "b", fewer, kept, dtype="float32")
    found = compare_tensors(one, HFSource(tmp_path / "b"), None)
    assert found.count == 2 * 11 + 2
    problems = {d.name: d.problem for d in found.differences}
    assert len(problems) == 11 + 1
    assert problems["model.layers.2.mlp.up_proj.weight"] == "only in A"
    assert problems[K_PROJ].startswith("1 of 256 values differ, by 1 at most")


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_tolerance_that_tells_nothing_is_refused(value):
    for arguments in ({"tol": value}, {"rtol": value}):
        with pytest.raises(BadInput, match="tolerance"):
            Tolerance(**arguments)
