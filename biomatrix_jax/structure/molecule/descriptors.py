"""Local spherical coordinates of each atom, and the positions they rebuild (MolStrucTok).

Atoms are in the order of the molecule's string. Each atom from index 3 on has a focal atom (the
nearest earlier atom bonded to it) and two reference atoms; with u along focal -> first reference,
v the second reference's direction made orthogonal to u, and w = u x v, its descriptor is

    r (angstrom), theta = arccos(z / r), |phi| with phi = atan2(y, x) (radian), sign(phi).

All functions take the atoms of several molecules one after another: references are row numbers, so
a batch is one array and one pass.
"""

from collections.abc import Sequence

import numpy as np

from biomatrix_jax.structure.molecule.errors import FocalAtomZero

# What the published tokenizer writes where the first three atoms have no such quantity.
UNDEFINED_LENGTH = 1.2608129506349746
UNDEFINED_POLAR = 1.593612854073428
UNDEFINED_AZIMUTH = 2.1366727766526967

# Under this sine of the angle at the focal atom its two references count as collinear, and under
# this distance in angstrom two atoms coincide: float64 still leaves ten digits of the frame there.
COLLINEAR = 1e-6


def check_focal_atoms(focal: Sequence[int], molecule: str) -> None:
    """Raises FocalAtomZero where an atom beyond index 2 has focal atom 0; `molecule` names it."""
    if 0 in focal[3:]:
        raise FocalAtomZero(
            molecule,
            f"atom {focal.index(0, 3)} in string order hangs on the first atom alone, which has no "
            "frame of its own; this tokenizer cannot express it",
        )


def reference_atoms(focal_n: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Focal atom, first and second reference of each atom, from the bond graph alone.

    Atom 1 has only a focal atom and atom 2 only a focal atom and one reference; -1 stands for what
    an atom does not have. Atom 2 is measured from atom 0 whatever its bonds.

    Args:
      focal_n: int [n], for the atoms of one molecule after another the latest earlier atom of the
        same molecule bonded to it; those of the first three atoms are not looked at.
      counts: how many atoms each molecule has.

    Returns:
      int32 [n, 3], rows of all the atoms, every entry smaller than its own row.
    """
    counts = np.asarray(counts)
    starts = np.cumsum(counts) - counts
    zeroth, first, second = (starts[counts > local] + local for local in range(3))
    focal = np.asarray(focal_n) + np.repeat(starts, counts)
    focal[zeroth], focal[first], focal[second] = zeroth, first - 1, second - 1
    beyond = focal[focal]
    beyond[second - 1] = second  # atom 1, when it is focal, refers to atoms 0 and 2
    references = np.stack([focal, focal[focal], beyond[focal]], axis=1).astype(np.int32)
    references[zeroth] = -1
    references[first, 1:] = -1
    references[second] = np.stack([second - 2, second - 1, np.full_like(second, -1)], axis=1)
    return references


def degenerate(positions_n3: np.ndarray, references_n3: np.ndarray) -> np.ndarray:
    """Which atoms have no descriptor: collinear references, coinciding atoms, or NaN; bool [n]."""
    has_focal = references_n3[:, 0] >= 0
    bad = ~np.isfinite(positions_n3).all(axis=1)
    offset = positions_n3[has_focal] - positions_n3[references_n3[has_focal, 0]]
    bad[has_focal] |= ~(_norm(offset)[:, 0] > COLLINEAR)
    framed = np.flatnonzero(references_n3[:, 2] >= 0)
    focal, first, second = (positions_n3[rows] for rows in references_n3[framed].T)
    one, two = first - focal, second - focal
    sine = _norm(_cross(one, two)) / np.maximum(_norm(one) * _norm(two), np.finfo(float).tiny)
    bad[framed] |= ~(sine[:, 0] > COLLINEAR)
    return bad


def describe(positions_n3: np.ndarray, references_n3: np.ndarray) -> np.ndarray:
    """Descriptors (r, theta, |phi|, sign) of atoms at the given positions.

    Args:
      positions_n3: float [n, 3], angstrom, none of them `degenerate`.
      references_n3: int [n, 3] from `reference_atoms`.

    Returns:
      float64 [n, 4]: angstrom, radian, radian, and -1, 0 or 1.
    """
    positions_n3 = np.asarray(positions_n3, np.float64)
    descriptors = np.empty((len(positions_n3), 4))
    descriptors[:] = UNDEFINED_LENGTH, UNDEFINED_POLAR, UNDEFINED_AZIMUTH, 0.0
    has_focal, has_first, has_second = references_n3.T >= 0

    offset = positions_n3[has_focal] - positions_n3[references_n3[has_focal, 0]]
    descriptors[has_focal, 0] = _norm(offset)[:, 0]

    planar = has_first & ~has_second
    focal = positions_n3[references_n3[planar, 0]]
    u = _unit(positions_n3[references_n3[planar, 1]] - focal)
    offset = positions_n3[planar] - focal
    x = _dot(offset, u)
    descriptors[planar, 2] = np.arctan2(_norm(offset - x * u), x)[:, 0]

    offset = positions_n3[has_second] - positions_n3[references_n3[has_second, 0]]
    u, v, w = _frames(positions_n3, references_n3[has_second])
    phi = np.arctan2(_dot(offset, v), _dot(offset, u))[:, 0]
    # Rounding can carry the cosine of an atom straight above its frame just past 1.
    cosine = np.clip(_dot(offset, w)[:, 0] / descriptors[has_second, 0], -1.0, 1.0)
    descriptors[has_second, 1] = np.arccos(cosine)
    descriptors[has_second, 2] = np.abs(phi)
    descriptors[has_second, 3] = np.sign(phi)
    return descriptors


def rebuild(descriptors_n4: np.ndarray, references_n3: np.ndarray) -> np.ndarray:
    """Positions from descriptors: the inverse of `describe` up to a rigid motion.

    Atom 0 of each molecule lies at the origin, atom 1 on +x, atom 2 in the xy plane with y >= 0.
    Atoms are placed in waves: all those, of all molecules, whose references are already placed.

    Args:
      descriptors_n4: float [n, 4] as from `describe`.
      references_n3: int [n, 3] from `reference_atoms`.

    Returns:
      float64 [n, 3] in angstrom; NaN from the first undefined frame on (see `degenerate`).
    """
    r, theta, phi, sign = np.asarray(descriptors_n4, np.float64).T
    phi = phi * sign
    local = np.stack(
        [r * np.sin(theta) * np.cos(phi), r * np.sin(theta) * np.sin(phi), r * np.cos(theta)], 1
    )
    has_focal, has_first, has_second = references_n3.T >= 0
    positions = np.zeros((len(local), 3))
    positions[has_focal, 0] = r[has_focal]
    planar = has_first & ~has_second
    azimuth = np.asarray(descriptors_n4, np.float64)[planar, 2]
    positions[planar, 0] = r[planar] * np.cos(azimuth)
    positions[planar, 1] = r[planar] * np.sin(azimuth)

    placed, waiting = ~has_second, np.flatnonzero(has_second)
    with np.errstate(invalid="ignore", divide="ignore"):
        while waiting.size:
            ready = placed[references_n3[waiting]].all(axis=1)
            wave, waiting = waiting[ready], waiting[~ready]
            u, v, w = _frames(positions, references_n3[wave])
            x, y, z = local[wave].T[:, :, None]
            positions[wave] = positions[references_n3[wave, 0]] + x * u + y * v + z * w
            placed[wave] = True
    return positions


def _frames(positions_n3: np.ndarray, references_n3: np.ndarray) -> tuple[np.ndarray, ...]:
    focal, first, second = (positions_n3[rows] for rows in references_n3.T)
    u = _unit(first - focal)
    v = _unit((second - focal) - _dot(second - focal, u) * u)
    return u, v, _cross(u, v)


def _cross(a_n3: np.ndarray, b_n3: np.ndarray) -> np.ndarray:
    # On the few atoms of a wave numpy.cross takes five times as long, most of it for its options.
    (ax, ay, az), (bx, by, bz) = a_n3.T, b_n3.T
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)


def _dot(a_n3: np.ndarray, b_n3: np.ndarray) -> np.ndarray:
    return (a_n3 * b_n3).sum(axis=1, keepdims=True)


def _norm(a: np.ndarray) -> np.ndarray:
    return np.sqrt(_dot(a, a))


def _unit(a: np.ndarray) -> np.ndarray:
    return a / _norm(a)
