"""Coordinates for residues that a chain lacks, as GCP-VQVAE's encoder expects them.

Imputed residues take part in the graph but get no code. They are laid between their neighbours and
then pulled, in two passes from the first residue to the last, to the usual distance between CAs and
to the usual bond lengths. In each pass a step starts from what the step before left: the order is
part of the definition. Lengths are in angstrom.

The direction in which a gap bulges comes from the axes of the coordinate system. So a chain with
such a gap, rotated, gets other imputed coordinates, and codes near the gap may change; a chain
observed whole has no such residues, and its codes do not depend on its pose.
"""

import itertools

import numpy as np

from biomatrix_jax.errors import BadInput

CA_STEP = 3.8  # angstrom from one CA to the next
# Bonds inside a residue as (from, to, length), atoms in the order N, CA, C, O.
BONDS = ((0, 1, 1.458), (1, 2, 1.525), (2, 3, 1.231))
PEPTIDE_BOND = 1.329  # C to the next residue's N
_COINCIDENT = 1e-6


def fill(backbone_lnd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The chain with imputed residues in its gaps, its mean over all atoms at the origin.

    Args:
      backbone_lnd: [L, 4, 3] N, CA, C, O, or [L, 3, 3] without O, which no other atom depends on. A
        residue with a NaN anywhere counts as missing.

    Returns:
      float32 array of the same shape, and bool [L]: the residue was observed whole.

    Raises:
      BadInput: no residue was observed whole.
    """
    filled, observed = impute(backbone_lnd)
    return (filled - filled.mean(axis=(0, 1))).astype(np.float32), observed


def impute(backbone_lnd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `fill` does, in float64 and where the chain is."""
    chain = np.array(backbone_lnd, np.float64)
    observed = ~np.isnan(chain).any(axis=(1, 2))
    if not observed.any():
        raise BadInput("no residue of the chain has all its backbone atoms: there is no structure")
    known = np.flatnonzero(observed)
    chain[: known[0]] = chain[known[0]]
    chain[known[-1] + 1 :] = chain[known[-1]]
    for before, after in itertools.pairwise(known):
        if after - before > 1:
            _bridge(chain, before, after)
    _space(chain, observed)
    _bond(chain, observed)
    return chain, observed


def _bridge(chain: np.ndarray, before: int, after: int) -> None:
    """Lays what is between two residues on an arc, or on a line where an arc is too short.

    Each kind of atom has its own arc: over the distance of its two ends, sine-shaped, of a height
    that half a circle of 3.8 angstrom a residue would have.
    """
    missing = after - before - 1
    fractions = (np.arange(1, missing + 1) / (missing + 1))[:, None]
    for atom in range(chain.shape[1]):
        start, end = chain[before, atom], chain[after, atom]
        places = start + fractions * (end - start)
        span, contour = np.linalg.norm(end - start), CA_STEP * missing
        height_squared = (contour / np.pi) ** 2 - (span / 2) ** 2
        if contour > span > _COINCIDENT and height_squared >= 0:
            sideways = _across((end - start) / span)
            places += np.sqrt(height_squared) * np.sin(np.pi * fractions) * sideways
        chain[before + 1 : after, atom] = places


def _across(direction: np.ndarray) -> np.ndarray:
    """A unit vector perpendicular to a direction and to the x axis, or to y if x is too close."""
    axis = np.eye(3)[1 if abs(direction[0]) > 0.9 else 0]
    normal = np.cross(direction, axis)
    return normal / np.linalg.norm(normal)


def _space(chain: np.ndarray, observed: np.ndarray) -> None:
    """Moves imputed residues so that neighbouring CAs are 3.8 angstrom apart."""
    for i in np.flatnonzero(~(observed[:-1] & observed[1:])):
        step = chain[i + 1, 1] - chain[i, 1]
        distance = np.linalg.norm(step)
        if distance <= _COINCIDENT:
            continue
        excess = step * (1 - CA_STEP / distance)
        share = 0.5 if not (observed[i] or observed[i + 1]) else 1.0
        if not observed[i]:
            chain[i] += share * excess
        if not observed[i + 1]:
            chain[i + 1] -= share * excess


def _bond(chain: np.ndarray, observed: np.ndarray) -> None:
    """Gives bonds with an imputed atom their length by moving the later atom.

    This also moves the N of an observed residue that follows a gap.
    """
    last = len(chain) - 1
    for i in range(len(chain)):
        if not observed[i]:
            for a, b, length in BONDS[: chain.shape[1] - 1]:
                _stretch(chain[i, a], chain[i, b], length)
        if i < last and not (observed[i] and observed[i + 1]):
            _stretch(chain[i, 2], chain[i + 1, 0], PEPTIDE_BOND)


def _stretch(fixed: np.ndarray, moved: np.ndarray, length: float) -> None:
    bond = moved - fixed
    distance = np.linalg.norm(bond)
    if distance > _COINCIDENT:
        moved[:] = fixed + bond * (length / distance)
