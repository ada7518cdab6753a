"""Bent chains: what turns, and what stays."""

import numpy as np

from biomatrix_jax.structure.protein.training.bending import bend


def zigzag(length=20):
    """A backbone [length, 3, 3] without order, but with bonds of about 1.5."""
    steps = np.random.default_rng(0).normal(size=(3 * length, 3))
    steps *= 1.5 / np.linalg.norm(steps, axis=1, keepdims=True)
    return np.cumsum(steps, axis=0).reshape(length, 3, 3).astype(np.float32)


def torsions(backbone):
    """Dihedral angles of four atoms in a row, radians; index i is about the bond i+1, i+2."""
    p = backbone.reshape(-1, 3).astype(float)
    b0, b1, b2 = p[:-3] - p[1:-2], p[2:-1] - p[1:-2], p[3:] - p[2:-1]
    b1 /= np.linalg.norm(b1, axis=1, keepdims=True)
    v = b0 - (b0 * b1).sum(1, keepdims=True) * b1
    w = b2 - (b2 * b1).sum(1, keepdims=True) * b1
    return np.arctan2((np.cross(b1, v) * w).sum(1), (v * w).sum(1))


def difference(a, b):
    return np.angle(np.exp(1j * (a - b)))


def test_bending_changes_phi_or_psi_of_as_many_residues_and_nothing_else():
    before = zigzag()
    after = bend(before, 2, 0.6, np.random.default_rng(4))
    for step in (1, 2):  # bonds and bond angles
        lengths = [
            np.linalg.norm(x.reshape(-1, 3)[step:] - x.reshape(-1, 3)[:-step], axis=1)
            for x in (before, after)
        ]
        np.testing.assert_allclose(*lengths, atol=1e-4)
    changed = np.flatnonzero(np.abs(difference(torsions(after), torsions(before))) > 1e-3)
    assert len(changed) == 2
    # The bond i+1, i+2 of atoms numbered 3 residue + atom is N-CA or CA-C, never C-N.
    assert all((i + 1) % 3 in (0, 1) for i in changed)


def test_the_angle_has_the_spread_that_is_asked_for():
    before = zigzag()
    random = np.random.default_rng(0)
    angles = []
    for _ in range(400):
        found = difference(torsions(bend(before, 1, 0.3, random)), torsions(before))
        angles.append(found[np.abs(found).argmax()])
    assert 0.25 < np.std(angles) < 0.35
    assert abs(np.mean(angles)) < 0.05


def test_the_chain_before_the_bend_stays():
    before = zigzag()
    after = bend(before, 1, 0.6, np.random.default_rng(1))
    moved = np.abs(after - before).reshape(-1, 3).max(1) > 1e-5
    first = moved.argmax()
    assert 0 < first < len(moved)
    assert not moved[:first].any()
    assert bend(before, 0, 0.6, np.random.default_rng(1)).tolist() == before.tolist()
