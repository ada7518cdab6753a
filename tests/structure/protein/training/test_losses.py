"""The decoder's losses beside plain loops in numpy, and what they must not depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from Bio.SVDSuperimposer import SVDSuperimposer

from biomatrix_jax.structure.protein.training import losses

LENGTHS = (7, 5)  # residues of the two chains, padded to 8


def structures(seed=0, noise=0.8):
    """A predicted and a true batch [2, 8, 3, 3], and which residues are observed."""
    random = np.random.default_rng(seed)
    true = np.cumsum(random.normal(size=(2, 24, 3)) * 1.2, axis=1).reshape(2, 8, 3, 3)
    predicted = true + noise * random.normal(size=true.shape)
    observed = np.zeros((2, 8), bool)
    for row, length in enumerate(LENGTHS):
        observed[row, :length] = True
    observed[0, 3] = False  # a gap
    return predicted.astype(np.float32), true.astype(np.float32), observed


def by_hand_aligned(predicted, true, observed):
    errors = []
    for p, t, seen in zip(predicted, true, observed, strict=True):
        p, t = (x[seen].reshape(-1, 3).astype(float) for x in (p, t))
        fit = SVDSuperimposer()
        fit.set(p, t)
        fit.run()
        errors.append(((fit.get_transformed() - p) ** 2).mean())
    return np.mean(errors)


def by_hand_distances(predicted, true, observed):
    errors = []
    for p, t, seen in zip(predicted, true, observed, strict=True):
        p, t = (x[seen].reshape(-1, 3).astype(float) for x in (p, t))
        terms = [
            min((np.linalg.norm(p[i] - p[j]) - np.linalg.norm(t[i] - t[j])) ** 2, 25)
            for i in range(len(p))
            for j in range(len(p))
        ]
        errors.append(np.mean(terms))
    return np.mean(errors)


def six(atoms, seen):
    """The vectors of one chain that exist, residue by residue."""
    vectors = []
    for i in np.flatnonzero(seen):
        n, ca, c = atoms[i].astype(float)
        vectors += [ca - n, c - ca, np.cross(ca - n, c - ca)]
        if i > 0 and seen[i - 1]:
            vectors.append(np.cross(n - atoms[i - 1, 2], ca - n))
        if i + 1 < len(seen) and seen[i + 1]:
            following = atoms[i + 1, 0] - c
            vectors += [following, np.cross(c - ca, following)]
    return np.array(vectors)


def by_hand_directions(predicted, true, observed):
    errors = []
    for p, t, seen in zip(predicted, true, observed, strict=True):
        p, t = six(p, seen), six(t, seen)
        errors.append(np.minimum((p @ p.T - t @ t.T) ** 2, 20).mean())
    return np.mean(errors)


CASES = {
    "aligned": (losses.aligned_error, by_hand_aligned),
    "distance": (losses.distance_error, by_hand_distances),
    "direction": (losses.direction_error, by_hand_directions),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("noise", [0.3, 6.0])  # within the clamps, and beyond
def test_a_loss_is_that_of_plain_loops(name, noise):
    loss, by_hand = CASES[name]
    batch = structures(noise=noise)
    assert loss(*map(jnp.asarray, batch)) == pytest.approx(by_hand(*batch), rel=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_loss_depends_on_no_pose_and_on_nothing_unobserved(name):
    loss, _ = CASES[name]
    predicted, true, observed = structures()
    before = float(loss(predicted, true, observed))
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    turned = (true @ (q * np.sign(np.linalg.det(q))).T + [5.0, -9.0, 2.0]).astype(np.float32)
    assert loss(predicted, turned, observed) == pytest.approx(before, rel=1e-4)
    predicted[~observed] = 77.0
    true[~observed] = -55.0
    assert loss(predicted, true, observed) == pytest.approx(before, rel=1e-5)


def test_a_mirror_image_is_told_from_the_truth_except_by_distances():
    _, true, observed = structures()
    mirror = true * np.float32([1, 1, -1])
    assert losses.distance_error(mirror, true, observed) < 1e-9
    assert losses.aligned_error(mirror, true, observed) > 0.5
    assert losses.direction_error(mirror, true, observed) > 0.5


def test_a_pair_beyond_the_clamp_counts_as_much_as_the_clamp_and_pulls_at_nothing():
    collapsed = np.zeros((1, 4, 3, 3), np.float32)
    true = np.zeros((1, 4, 3, 3), np.float32)
    true[0, :, :, 0] = 10 * np.arange(4)[:, None]  # residues 10 apart, their atoms in one place
    seen = np.ones((1, 4), bool)
    pairs = 3 / 4  # of all pairs, those of two residues
    assert losses.distance_error(collapsed, true, seen) == pytest.approx(25 * pairs, rel=1e-3)
    near = collapsed + 0.1 * np.random.default_rng(0).normal(size=(1, 4, 3, 3)).astype(np.float32)
    pulls = jax.grad(losses.distance_error)(near, true, seen)
    # What is left is the pull of a residue's own atoms on each other.
    assert np.abs(pulls.sum(axis=2)).max() < 1e-6 < np.abs(pulls).max()


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_finite_differences(name):
    loss, _ = CASES[name]
    predicted, true, observed = structures(noise=0.1)  # far from the kinks of the clamps
    gradient = jax.grad(loss)(predicted, true, observed)
    assert np.isfinite(gradient).all()
    assert np.all(gradient[~observed] == 0)
    step = 0.003 * np.random.default_rng(5).normal(size=predicted.shape).astype(np.float32)
    change = loss(predicted + step, true, observed) - loss(predicted - step, true, observed)
    # Through the superposition no gradient is meant to go, and at its optimum none would.
    assert np.sum(gradient * 2 * step) == pytest.approx(float(change), rel=0.02, abs=1e-5)


def test_a_perfect_copy_costs_nothing_and_has_a_finite_gradient():
    _, true, observed = structures()
    for loss, _ in CASES.values():
        value, gradient = jax.value_and_grad(loss)(true, true, observed)
        assert value < 1e-8
        assert np.abs(gradient).max() < 1e-3
