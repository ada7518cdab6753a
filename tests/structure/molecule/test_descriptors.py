import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from biomatrix_jax.structure.molecule.descriptors import (
    UNDEFINED_AZIMUTH,
    UNDEFINED_LENGTH,
    UNDEFINED_POLAR,
    check_focal_atoms,
    degenerate,
    describe,
    rebuild,
    reference_atoms,
)
from biomatrix_jax.structure.molecule.errors import FocalAtomZero
from biomatrix_jax.structure.molecule.serialization import line_up


def focal_atoms(bonded: np.ndarray) -> list[int]:
    return [np.flatnonzero(row).max(initial=-1) for row in np.tril(bonded, -1)]


def references_of(*molecules: np.ndarray) -> np.ndarray:
    """The references of molecules given by their bonds."""
    focal = [atom for bonded in molecules for atom in focal_atoms(bonded)]
    return reference_atoms(np.array(focal), [len(bonded) for bonded in molecules])


def bonds(count: int, *pairs: tuple[int, int]) -> np.ndarray:
    bonded = np.zeros((count, count), bool)
    for a, b in pairs:
        bonded[a, b] = bonded[b, a] = True
    return bonded


def references_by_recursion(bonded: np.ndarray) -> list[tuple[int, int, int]]:
    """The published definition, atom by atom."""
    found = [(-1, -1, -1), (0, 2, None), (1, 0, None)]
    for i in range(3, len(bonded)):
        focal = max(j for j in range(i) if bonded[i, j])
        found.append((focal, found[focal][0], found[focal][1]))
    return found


@st.composite
def random_molecules(draw):
    """A random tree with a few ring bonds in an order where every atom follows a neighbour."""
    count = draw(st.integers(5, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pairs = [(0, 1), (1, 2) if random.random() < 0.7 else (0, 2)]
    pairs += [(int(random.integers(1, i)), i) for i in range(3, count)]
    pairs += [tuple(random.choice(np.arange(1, count), 2, replace=False)) for _ in range(2)]
    return bonds(count, *pairs), random.normal(size=(count, 3)) * 2


def test_reference_atoms_of_a_small_branch():
    #     0 - 1 - 2, 1 - 3, 3 - 4, 2 - 5, and a ring bond 4 - 5 that makes 4 the focal atom of 5
    bonded = bonds(6, (0, 1), (1, 2), (1, 3), (3, 4), (2, 5), (4, 5))
    expected = [[-1, -1, -1], [0, -1, -1], [0, 1, -1], [1, 0, 2], [3, 1, 0], [4, 3, 1]]
    assert references_of(bonded).tolist() == expected


def test_reference_atoms_of_atom_2_when_it_is_focal():
    bonded = bonds(5, (0, 1), (0, 2), (2, 3), (3, 4))
    assert references_of(bonded).tolist()[3:] == [[2, 1, 0], [3, 2, 1]]


@given(random_molecules())
@settings(max_examples=60, deadline=None)
def test_reference_atoms_follow_the_recursive_definition(molecule):
    bonded, _ = molecule
    assert references_of(bonded).tolist()[3:] == [
        list(row) for row in references_by_recursion(bonded)[3:]
    ]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_reference_atoms_of_tiny_molecules(count):
    bonded = bonds(count, *[(i, i + 1) for i in range(count - 1)])
    whole = [[-1, -1, -1], [0, -1, -1], [0, 1, -1]]
    assert references_of(bonded).tolist() == whole[:count]


def test_focal_atom_zero_names_molecule_and_atom():
    bonded = bonds(5, (0, 1), (1, 2), (0, 3), (3, 4))
    with pytest.raises(FocalAtomZero, match=r"^neopentane: atom 3 in string order"):
        check_focal_atoms(focal_atoms(bonded), "neopentane")
    check_focal_atoms([-1, 0, 0, 2, 1], "propane")


def test_describe_known_geometry():
    # Focal atom 1 at the origin, first reference atom 0 on +x, second reference atom 2 in the xy
    # plane on the +y side: the frame of atoms 3 and 4 is the coordinate system itself.
    theta, phi, r = 0.7, 2.1, 1.4
    atom = r * np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    below = atom * [1, -1, 1]
    positions = np.array([[1.0, 0, 0], [0, 0, 0], [-0.3, 0.9, 0], atom, below])
    references = references_of(bonds(5, (0, 1), (1, 2), (1, 3), (1, 4)))
    expected = [
        [UNDEFINED_LENGTH, UNDEFINED_POLAR, UNDEFINED_AZIMUTH, 0],
        [1.0, UNDEFINED_POLAR, UNDEFINED_AZIMUTH, 0],
        [np.hypot(1.3, 0.9), UNDEFINED_POLAR, np.arctan2(0.9, 1.3), 0],
        [r, theta, phi, 1],
        [r, theta, phi, -1],
    ]
    np.testing.assert_allclose(describe(positions, references), expected, atol=1e-12)


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


@given(random_molecules(), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_descriptors_ignore_rigid_motion_and_see_mirror_images(molecule, seed):
    bonded, positions = molecule
    references = references_of(bonded)
    descriptors = describe(positions, references)
    moved = describe(positions @ rotation(seed).T + [3, -2, 5], references)
    np.testing.assert_allclose(moved, descriptors, atol=1e-6)
    # u and v follow the mirror and w = u x v does not: handedness sits in the polar angle, and the
    # sign of the azimuth (which side of u, as in cis and trans) stays.
    mirrored = describe(positions * [1, 1, -1], references)
    np.testing.assert_allclose(mirrored[:, [0, 2]], descriptors[:, [0, 2]], atol=1e-6)
    np.testing.assert_allclose(mirrored[3:, 1], np.pi - descriptors[3:, 1], atol=1e-6)


@given(random_molecules(), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_rebuild_inverts_describe(molecule, seed):
    bonded, positions = molecule
    references = references_of(bonded)
    positions = positions @ rotation(seed).T
    assume(not degenerate(positions, references).any())
    again = rebuild(describe(positions, references), references)
    assert again[0].tolist() == [0, 0, 0]
    assert again[1][0] > 0
    assert again[1][1:].tolist() == [0, 0]
    assert again[2][1] >= 0
    # Same positions in the frame of the first three atoms, handedness included.
    x = positions - positions[0]
    u = x[1] / np.linalg.norm(x[1])
    v = x[2] - (x[2] @ u) * u
    v /= np.linalg.norm(v)
    expected = x @ np.stack([u, v, np.cross(u, v)]).T
    np.testing.assert_allclose(again, expected, atol=1e-5)


def test_rebuild_azimuth_is_zero_where_the_sign_is_zero():
    references = references_of(bonds(4, (0, 1), (1, 2), (1, 3)))
    rows = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1.5, 0, 0.8, 0], [1.0, np.pi / 2, 2.0, 0]])
    # phi = 0 points from the focal atom (1, 0, 0) to its first reference, the origin.
    np.testing.assert_allclose(rebuild(rows, references)[3], [0, 0, 0], atol=1e-12)


def test_references_of_several_molecules_are_rows_of_them_all():
    chain = bonds(4, (0, 1), (1, 2), (2, 3))
    one = bonds(1)
    expected = [[-1, -1, -1], [0, -1, -1], [0, 1, -1], [2, 1, 0]]
    assert references_of(one, chain, one, chain[:2, :2], chain).tolist() == [
        [-1, -1, -1],
        *[[row + 1 if row >= 0 else -1 for row in rows] for rows in expected],
        [-1, -1, -1],
        *[[-1, -1, -1], [6, -1, -1]],
        *[[row + 8 if row >= 0 else -1 for row in rows] for rows in expected],
    ]


def test_a_batch_is_its_molecules(mols):
    lines = [line_up(mol) for mol in mols]
    positions = [
        mol.GetConformer().GetPositions()[line.order] for mol, line in zip(mols, lines, strict=True)
    ]
    focal = np.concatenate([line.focal for line in lines])
    references = reference_atoms(focal, [len(x) for x in positions])
    together = describe(np.concatenate(positions), references)
    rebuilt = rebuild(together, references)
    start = 0
    for line, x in zip(lines, positions, strict=True):
        part = reference_atoms(np.array(line.focal), [len(x)])
        alone = describe(x, part)
        np.testing.assert_array_equal(together[start : start + len(x)], alone)
        np.testing.assert_array_equal(rebuilt[start : start + len(x)], rebuild(alone, part))
        start += len(x)


def test_degenerate_marks_lines_coincidences_and_nan():
    references = references_of(bonds(5, (0, 1), (1, 2), (1, 3), (3, 4)))
    good = np.array([[1.0, 0, 0], [0, 0, 0], [-0.3, 0.9, 0], [0, 0, 1.0], [1, 1, 1]])
    assert not degenerate(good, references).any()

    line = good.copy()
    line[2] = [
        -1.2,
        0,
        0,
    ]  # Atoms 0, 1, 2 on a line: atom 3 has no frame, atom 4 does not use them.
    assert degenerate(line, references).tolist() == [False, False, False, True, False]
    same = good.copy()
    same[4] = same[3]
    assert degenerate(same, references).tolist() == [False, False, False, False, True]
    unknown = good.copy()
    unknown[0] = np.nan
    assert degenerate(unknown, references).tolist()[0] is True


def test_rebuild_gives_nan_where_the_codes_leave_no_frame():
    references = references_of(bonds(4, (0, 1), (1, 2), (1, 3)))
    rows = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1.5, 0, 0.0, 0], [1.0, 1.5, 2.0, 1]])
    positions = rebuild(rows, references)
    assert np.isnan(positions[3]).all()
    assert degenerate(positions, references).tolist() == [False, False, False, True]


def test_descriptors_equal_the_published_ones(golden):
    worst = 0.0
    for row in golden:
        line = line_up(row["mol"])
        references = reference_atoms(np.array(line.focal), [len(line.focal)])
        positions = row["mol"].GetConformer().GetPositions()[line.order]
        worst = max(worst, np.abs(describe(positions, references) - row["descriptors"]).max())
    assert worst < 1e-6


def test_published_descriptors_rebuild_the_molecules(golden):
    for row in golden:
        line = line_up(row["mol"])
        references = reference_atoms(np.array(line.focal), [len(line.focal)])
        positions = row["mol"].GetConformer().GetPositions()[line.order]
        again = rebuild(np.array(row["descriptors"]), references)
        distances = [np.linalg.norm(x[:, None] - x[None, :], axis=-1) for x in (again, positions)]
        np.testing.assert_allclose(*distances, atol=1e-6)
        one, two = (np.linalg.det(x[1:4] - x[0]) for x in (again, positions))
        np.testing.assert_allclose(one, two, atol=1e-5)
