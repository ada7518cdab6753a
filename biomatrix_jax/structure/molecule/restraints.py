"""What holds a molecule's atoms in place: its decoded descriptors and its graph, as restraints.

A restraint is a residual divided by how far it may be off, so that they weigh like one Gaussian
likelihood: an atom's direction as its token has it; bond lengths, of which token and graph each
know something; angles as distances; flat groups; and atoms that must not overlap.
"""

from typing import NamedTuple

import numpy as np
from rdkit import Chem

from biomatrix_jax.structure.molecule import ideal_geometry
from biomatrix_jax.structure.molecule.ideal_geometry import measure

TOKEN_LENGTH = 0.03  # angstrom: how far decoded lengths are off
ATOM_TWO = 0.06  # angstrom: likewise atom 2, whose token measures it from atom 0, bonded or not
LEAST_SINE = 0.3  # of the polar angle where an azimuth still counts as known to its spread
UNKNOWN_LENGTH = 0.1  # angstrom, of the covalent radii's sum for a bond that no table has
LEAST_SPREAD = 0.004, 0.01, 0.02  # of lengths, angles' distances (angstrom), volumes (angstrom^3)
AGREE = 3  # standard deviations within which token and graph tell of the same length
FLAT = 0.5  # angstrom^3: a name whose groups are usually within this volume means a flat group
NEARLY_FLAT = 2, 0.25  # how flat the tokens must have left it: see `_planes`
CONTACT = 0.8  # of the sum of the van der Waals radii: what atoms four or more bonds apart keep
CONTACT_SPREAD = 0.1  # angstrom
POLAR_CONTACT = 0.4  # angstrom nearer, where one of them is a hydrogen of N, O or S
REACH = 0.5  # angstrom: pairs this much further apart are watched as well


class Restraints(NamedTuple):
    """Of one molecule of n atoms.

    Pairs ask for a distance, or only for not less (`pair_contact`). Frames ask that the unit vector
    from the focal atom to the atom, in the frame of its references (see `descriptors`), minus the
    decoded one, times `frame_weights` be 0. Quads ask for four atoms of no volume.
    """

    pair_atoms: np.ndarray  # int32 [P, 2]
    pair_distances: np.ndarray  # float32 [P], angstrom
    pair_weights: np.ndarray  # float32 [P], 1 / angstrom
    pair_contact: np.ndarray  # bool [P]
    frame_atoms: np.ndarray  # int32 [F, 4]: atom, focal, first, second reference
    frame_directions: np.ndarray  # float32 [F, 3]
    frame_weights: np.ndarray  # float32 [F, 3, 3]: rows along polar, azimuth, direction
    quad_atoms: np.ndarray  # int32 [Q, 4]
    quad_weights: np.ndarray  # float32 [Q], 1 / angstrom^3


def restrain(
    mol: Chem.Mol,
    descriptors_n4: np.ndarray,
    references_n3: np.ndarray,
    spreads_n2: np.ndarray,
    positions_n3: np.ndarray,
) -> Restraints:
    """The restraints of a molecule, atoms in string order.

    Args:
      mol: with the bonds; its conformers do not matter.
      descriptors_n4: decoded (r, theta, |phi|, sign), angstrom and radian.
      references_n3: as `descriptors.reference_atoms` gives them.
      spreads_n2: how far decoded theta and phi are off, radian.
      positions_n3: as rebuilt from the descriptors one atom after another, angstrom.
    """
    terms = ideal_geometry.terms(mol)
    table = ideal_geometry.load()
    lengths = _lengths(mol, terms["bond"], table["bond"], descriptors_n4[:, 0], references_n3)
    known = {atoms: value for atoms, value, _ in lengths}
    known |= {(j, i): value for (i, j), value in known.items()}
    distances = [
        *lengths,
        *_third_atom(descriptors_n4, known),
        *_angles(terms["angle"], table["angle"], known),
    ]
    contacts = _contacts(mol, positions_n3)
    pairs = [*distances, *contacts]
    quads = _planes(terms["plane"], table["plane"], positions_n3)
    directions, axes = _directions(descriptors_n4[3:], spreads_n2[3:])
    return Restraints(
        np.array([atoms for atoms, _, _ in pairs], np.int32).reshape(-1, 2),
        np.array([value for _, value, _ in pairs], np.float32),
        np.array([1 / spread for _, _, spread in pairs], np.float32),
        np.arange(len(pairs)) >= len(distances),
        np.concatenate([np.arange(3, len(references_n3))[:, None], references_n3[3:]], axis=1),
        directions,
        axes,
        np.array([atoms for atoms, _ in quads], np.int32).reshape(-1, 4),
        np.array([weight for _, weight in quads], np.float32),
    )


Distance = tuple[tuple[int, int], float, float]  # atoms, angstrom, spread


def _lengths(mol, bonds, table, decoded_n, references_n3) -> list[Distance]:
    """Bonds. Token and graph are weighed by their spreads; where they contradict each other the
    graph is right: codebooks lack the lengths of rare bonds, graphs do not."""
    radius, found = Chem.GetPeriodicTable().GetRcovalent, []
    for (i, j), names in bonds:
        ideal = ideal_geometry.look_up(table, names)
        if ideal:
            value, spread = ideal.value, max(ideal.spread, LEAST_SPREAD[0])
        else:
            value = sum(radius(mol.GetAtomWithIdx(k).GetAtomicNum()) for k in (i, j))
            spread = UNKNOWN_LENGTH
        early, late = sorted((i, j))
        # The token of an atom knows the bond to its focal atom; none knows one that closes a ring.
        by_token = decoded_n[late]
        if references_n3[late, 0] == early and (
            abs(by_token - value) < AGREE * np.hypot(spread, TOKEN_LENGTH)
        ):
            share = spread**2 / (spread**2 + TOKEN_LENGTH**2)
            value += share * (by_token - value)
            spread = TOKEN_LENGTH * np.sqrt(share)
        found.append(((i, j), value, spread))
    return found


def _third_atom(descriptors_n4, known) -> list[Distance]:
    """Atom 2, which has no frame: its token gives its distance to atom 0 and the angle there."""
    one, two = descriptors_n4[1, 0], descriptors_n4[2, 0]
    opposite = _opposite(one, two, descriptors_n4[2, 2])
    found = [((1, 2), opposite, ATOM_TWO)]
    return found if (0, 2) in known else [*found, ((0, 2), two, ATOM_TWO)]


def _angles(angles, table, known) -> list[Distance]:
    found = []
    for (i, centre, j), names in angles:
        if ideal := ideal_geometry.look_up(table, names):
            one, two = known[i, centre], known[centre, j]
            distance = _opposite(one, two, ideal.value)
            spread = one * two * np.sin(ideal.value) / distance * ideal.spread
            found.append(((i, j), distance, max(spread, LEAST_SPREAD[1])))
    return found


def _opposite(one: float, two: float, angle: float) -> float:
    return float(np.sqrt(one**2 + two**2 - 2 * one * two * np.cos(angle)))


def _planes(planes, table, positions_n3) -> list[tuple[tuple[int, ...], float]]:
    """Groups that are usually flat and that the tokens left flat, within the name's spread and
    what the tokens' errors amount to."""
    if not planes:
        return []
    volumes = np.abs(measure(positions_n3, "plane", [term.atoms for term in planes]))
    times, error = NEARLY_FLAT
    found = []
    for (atoms, names), volume in zip(planes, volumes, strict=True):
        ideal = ideal_geometry.look_up(table, names)
        if ideal and ideal.spread < FLAT and volume < times * np.hypot(ideal.spread, error):
            found.append((atoms, 1 / max(ideal.spread, LEAST_SPREAD[2])))
    return found


def _contacts(mol: Chem.Mol, positions_n3: np.ndarray) -> list[Distance]:
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRvdw(atom.GetAtomicNum()) for atom in mol.GetAtoms()])
    polar = np.array([_is_polar_hydrogen(atom) for atom in mol.GetAtoms()])
    least = CONTACT * (radii[:, None] + radii) - POLAR_CONTACT * (polar[:, None] | polar)
    apart = np.linalg.norm(positions_n3[:, None] - positions_n3, axis=-1)
    near = np.triu((apart < least + REACH) & (Chem.GetDistanceMatrix(mol) > 3))
    return [((i, j), least[i, j], CONTACT_SPREAD) for i, j in np.argwhere(near).tolist()]


def _is_polar_hydrogen(atom: Chem.Atom) -> bool:
    return atom.GetAtomicNum() == 1 and any(
        other.GetSymbol() in ("N", "O", "S") for other in atom.GetNeighbors()
    )


def _directions(descriptors_n4: np.ndarray, spreads_n2: np.ndarray) -> tuple[np.ndarray, ...]:
    """Unit vectors, and the weights along theta, along phi, and of what a half turn would leave."""
    _, theta, phi, sign = descriptors_n4.T
    phi = phi * sign
    sin, cos, zero = np.sin(theta), np.cos(theta), np.zeros(len(theta))
    along = np.stack([sin * np.cos(phi), sin * np.sin(phi), cos], axis=1)
    polar = np.stack([cos * np.cos(phi), cos * np.sin(phi), -sin], axis=1)
    azimuth = np.stack([-np.sin(phi), np.cos(phi), zero], axis=1)
    of_theta, of_phi = 1 / spreads_n2.T
    of_phi = of_phi / np.maximum(sin, LEAST_SINE)
    weights = np.stack([of_theta, of_phi, of_theta], axis=1)
    axes = np.stack([polar, azimuth, along], axis=1) * weights[:, :, None]
    return along.astype(np.float32), axes.astype(np.float32)
