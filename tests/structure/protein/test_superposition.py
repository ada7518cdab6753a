"""Kabsch, RMSD and TM-score: hand-checked cases, and other programs' numbers on real chains."""

import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biomatrix_jax.structure.protein.superposition import d0, kabsch, moved, rmsd, tm_score

HERE = Path(__file__).parent
TM_ALIGN = json.loads((HERE / "golden/tm_scores.json").read_text())


def load_chains():
    spec = importlib.util.spec_from_file_location("changed_chains", HERE / "changed_chains.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


chains = load_chains()


def points(seed=0, count=40):
    return np.random.default_rng(seed).normal(size=(count, 3)) * 8


def a_rotation(seed=1):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_kabsch_finds_the_rotation_and_translation_that_were_applied():
    x, turn, shift = points(), a_rotation(), np.array([3.0, -50.0, 8.0])
    rotation, translation = kabsch(x, x @ turn.T + shift)
    np.testing.assert_allclose(rotation, turn, atol=1e-12)
    np.testing.assert_allclose(translation, shift, atol=1e-12)
    np.testing.assert_allclose(moved(x, rotation, translation), x @ turn.T + shift, atol=1e-12)


def test_a_mirror_image_is_not_superposed_by_reflection():
    x = points()
    rotation, _ = kabsch(x, x * [1, 1, -1])
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert rmsd(x, x * [1, 1, -1]) > 5


def test_a_square_and_its_diagonal_turn():
    # Four corners against the same turned by 90 degrees about the axis through the middle.
    square = np.array([[1.0, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]])
    rotation, translation = kabsch(square, np.roll(square, 1, axis=0))
    np.testing.assert_allclose(rotation, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(translation, 0, atol=1e-12)


def test_rmsd_by_hand():
    # Two points 2 apart on a line of 4: each misses by 1 after superposition of the middles.
    assert rmsd(np.array([[0.0, 0, 0], [2, 0, 0]]), np.array([[5.0, 0, 0], [5, 4, 0]])) == 1


def test_rmsd_equals_that_of_biopython():
    from Bio.SVDSuperimposer import SVDSuperimposer

    other = SVDSuperimposer()
    for seed in range(5):
        x, y = points(seed), points(seed + 100)
        other.set(y, x)
        other.run()
        assert rmsd(x, y) == pytest.approx(other.get_rms(), abs=1e-10)
        rotation, translation = kabsch(x, y)
        np.testing.assert_allclose(rotation.T, other.get_rotran()[0], atol=1e-10)
        np.testing.assert_allclose(translation, other.get_rotran()[1], atol=1e-9)


def test_points_without_weight_do_not_count_whatever_they_are():
    x, y = points(0), points(1)
    weights = np.ones(40)
    weights[[3, 30, 39]] = 0
    kept = weights > 0
    y[~kept] = np.nan
    x[3] = 1e6
    assert rmsd(x, y, weights) == pytest.approx(rmsd(x[kept], y[kept]), abs=1e-10)
    weights[5] = 3  # is as if the point were there three times
    kept = np.concatenate([np.flatnonzero(kept), [5, 5]])
    assert rmsd(x, y, weights) == pytest.approx(rmsd(x[kept], y[kept]), abs=1e-10)


def test_a_batch_in_jax_is_each_by_itself_in_numpy():
    x = np.stack([points(seed) for seed in range(3)]).astype(np.float32)
    y = np.stack([points(seed + 7) for seed in range(3)]).astype(np.float32)
    weights = (np.random.default_rng(0).random((3, 40)) < 0.8).astype(np.float32)
    together = jax.jit(rmsd)(jnp.asarray(x), jnp.asarray(y), jnp.asarray(weights))
    alone = [rmsd(*arrays) for arrays in zip(x, y, weights, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=2e-6)
    rotation, _ = jax.jit(kabsch)(jnp.asarray(x), jnp.asarray(y), jnp.asarray(weights))
    np.testing.assert_allclose(jnp.linalg.det(rotation), 1, atol=1e-5)


def test_d0_of_known_lengths():
    assert d0(10) == d0(15) == d0(21) == 0.5
    assert d0(100) == pytest.approx(1.24 * 85 ** (1 / 3) - 1.8)
    assert d0(250) == pytest.approx(1.24 * 6.1710 - 1.8, abs=1e-4)  # 6.1710^3 = 235


def test_tm_score_is_1_in_any_pose_and_falls_for_a_mirror_image():
    x = chains.alpha_carbons("1ubi", "A")
    assert tm_score(x, x @ a_rotation().T + 9) == pytest.approx(1)
    assert tm_score(x * [1, 1, -1], x) < 0.5


def test_tm_score_of_one_displaced_residue_by_hand():
    # Nineteen of twenty pairs coincide; the last one, infinitely far away, adds nothing.
    x = chains.alpha_carbons("1ubi", "A")[:20]
    y = x.copy()
    y[-1] += 1e6
    assert tm_score(x, y) == pytest.approx(19 / 20, abs=1e-9)
    assert tm_score(x, y, length=40) == pytest.approx(19 / 40, abs=1e-9)


@pytest.mark.parametrize("name", chains.CASES)
def test_tm_score_is_that_of_tm_align(name):
    chain, other = chains.changed(name)
    found = tm_score(other, chain)
    expected = TM_ALIGN[name]
    # TM-align does not try every fragment and may find a little less.
    assert expected["tm_score"] - 1e-6 < found < expected["tm_score"] + 2e-3
    assert rmsd(chain, other) == pytest.approx(expected["rmsd"], abs=1e-3)


def test_no_random_search_finds_a_better_superposition():
    chain, other = chains.changed("1fki hinge")
    found, scale = tm_score(other, chain), d0(len(chain))
    random = np.random.default_rng(0)
    for _ in range(300):
        chosen = random.choice(len(chain), random.integers(4, 40), replace=False)
        for _ in range(5):
            fit = kabsch(other[chosen], chain[chosen])
            distances = np.linalg.norm(moved(other, *fit) - chain, axis=-1)
            assert np.mean(1 / (1 + (distances / scale) ** 2)) <= found + 1e-9
            chosen = np.argsort(distances)[: max(4, (distances < 2 * scale).sum())]


def test_arrays_that_do_not_correspond_are_refused():
    with pytest.raises(ValueError, match="two alike"):
        tm_score(points(count=10), points(count=11))
