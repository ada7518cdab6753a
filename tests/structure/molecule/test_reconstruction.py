import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.structure.molecule import reconstruction as metrics
from tests.structure.molecule.conftest import embed


def turned(positions: np.ndarray, seed: int = 0) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return positions @ q + [3.0, -2.0, 1.0]


SQUARE = np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])


def test_superposition_undoes_a_rigid_motion():
    points = np.random.default_rng(1).normal(size=(7, 3))
    np.testing.assert_allclose(metrics.superimpose(turned(points), points), points, atol=1e-12)
    assert metrics.coordinate_rmsd(turned(points), points) < 1e-7


def test_rmsd_of_a_square_and_a_larger_one():
    # No turn helps: each corner is 0.5 away from its own.
    assert metrics.coordinate_rmsd(turned(1.5 * SQUARE), SQUARE) == pytest.approx(0.5)


def test_a_mirror_image_does_not_superimpose():
    corner = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    mirrored = corner * [1, 1, -1]
    assert metrics.coordinate_rmsd(mirrored, corner) > 0.5
    # A flat figure is its own mirror image.
    assert metrics.coordinate_rmsd(SQUARE * [1, -1, 1], SQUARE * [1, -1, 1]) < 1e-7
    assert metrics.coordinate_rmsd(turned(SQUARE * [-1, 1, 1]), SQUARE * [-1, 1, 1]) < 1e-7


def test_component_errors_leave_the_first_atoms_out():
    original = np.array([[9, 9, 9, 0], [1.0, 1.0, 1.0, 1], [1.5, 2.0, 0.5, -1]])
    decoded = original + np.array([[5, 5, 5, 0], [0.3, 0, 0.1, 0], [-0.1, 0.2, 0.1, 2]])
    errors = metrics.component_errors(decoded, original)
    assert errors["r"] == pytest.approx(np.sqrt((0.09 + 0.01) / 2))
    assert errors["theta"] == pytest.approx(np.sqrt(0.04 / 2))
    assert errors["phi"] == pytest.approx(0.1)
    assert errors["sign_accuracy"] == 0.5


def test_bond_lengths_have_types():
    mol = Chem.MolFromSmiles("BrC=C")
    positions = np.array([[0.0, 0, 0], [3, 4, 0], [3, 4, 2]])
    types, lengths = metrics.bond_lengths(mol, positions)
    assert types == ["Br-C", "C=C"]
    np.testing.assert_allclose(lengths, [5, 2])


def test_squared_mmd_by_hand():
    # Pooled 0, 0, 1, 1: four of the six pairs differ by 1, so the scale is 4 / 6.
    kernel = sum(np.exp(-1.5 / factor) for factor in (0.25, 0.5, 1, 2, 4))
    assert metrics.squared_mmd([0.0, 0.0], [1.0, 1.0]) == pytest.approx(5 + 5 - 2 * kernel)
    assert metrics.squared_mmd([1.2, 1.3, 1.5], [1.5, 1.3, 1.2]) == pytest.approx(0)
    assert metrics.squared_mmd([1.2, 1.2], [1.2]) == 0


def test_squared_mmd_of_many_samples_stays_close():
    random = np.random.default_rng(0)
    one, two = random.normal(1.4, 0.02, 9000), random.normal(1.41, 0.02, 9000)
    few = metrics.squared_mmd(one[:1900], two[:1900])
    assert metrics.squared_mmd(one, two) == pytest.approx(few, rel=0.15)


def test_bond_length_mmd_by_frequent_type():
    types = ["C-C"] * 30 + ["C-H"] * 40 + ["C-I"] * 3
    original = np.linspace(1, 2, 73)
    decoded = original.copy()
    decoded[:30] += 0.5
    mmd = metrics.bond_length_mmd(types, decoded, original)
    assert list(mmd) == ["C-H", "C-C"]
    assert mmd["C-H"] == pytest.approx(0, abs=1e-12)
    assert mmd["C-C"] == pytest.approx(metrics.squared_mmd(decoded[:30], original[:30]))
    assert mmd["C-C"] > 1


def test_stereo_labels_see_both_kinds():
    for smiles, atoms, bonds in (("C[C@H](F)Cl", 1, 0), ("C/C=C/F", 0, 1)):
        mol = embed(smiles)
        positions = mol.GetConformer().GetPositions()
        labels, mirrored = (
            metrics.stereo_labels(mol, positions * [1, 1, factor]) for factor in (1, -1)
        )
        differing = [pair for pair in zip(labels, mirrored, strict=True) if pair[0] != pair[1]]
        assert len(differing) == atoms
        assert all(set(pair) == {"R", "S"} for pair in differing)
        assert sum(label == "STEREOE" for label in labels) == bonds
        assert mol.GetNumConformers() == 1
