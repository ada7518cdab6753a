"""What a molecular graph says about its geometry: usual bond lengths, angles and flat groups.

Every bond, angle and group that may be flat has a few names, from the most to the least specific
("C43.C43-0" is a single bond, in no small ring, between two sp3 carbons of four neighbours), and
the shipped table gives the usual value and its spread for each name that was met often enough.
`data_pipeline/assets/make_ideal_geometry.py` made the table.
"""

import functools
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from rdkit import Chem

Kind = Literal["bond", "angle", "plane"]

TABLE = Path(__file__).resolve().parents[2] / "assets" / "ideal_geometry" / "table.json"

ORDERS = {
    Chem.BondType.SINGLE: "-",
    Chem.BondType.DOUBLE: "=",
    Chem.BondType.TRIPLE: "#",
    Chem.BondType.AROMATIC: ":",
}
_HYBRIDS = {Chem.HybridizationType.SP: "1", Chem.HybridizationType.SP2: "2"}
_HYBRIDS |= {Chem.HybridizationType.SP3: "3"}
_STRAINED = 5  # Rings up to this size bend the angles at their atoms, up to one less their bonds.
_FLAT = 6  # Larger unsaturated rings pucker.


class Term(NamedTuple):
    """Some atoms of a molecule, and the names that their arrangement goes by.

    Two bonded atoms; three around the angle at the second; or four, whose volume is 0 when they
    lie in a plane: an atom with its three neighbours, or the bonds a-b-c-d around a stiff b-c.
    """

    atoms: tuple[int, ...]
    names: tuple[str, ...]


class Ideal(NamedTuple):
    """The usual length (angstrom), angle (radian) or volume (angstrom^3), and how far it varies."""

    value: float
    spread: float


Table = dict[Kind, dict[str, Ideal]]


@functools.cache
def load() -> Table:
    """The table that comes with the package."""
    tree = json.loads(TABLE.read_text(encoding="utf-8"))
    return {kind: {k: Ideal(*v) for k, v in names.items()} for kind, names in tree.items()}


def look_up(table: dict[str, Ideal], names: Iterable[str]) -> Ideal | None:
    """The entry of the first name that the table has."""
    return next((table[name] for name in names if name in table), None)


def measure(positions_n3: np.ndarray, kind: Kind, atoms: np.ndarray) -> np.ndarray:
    """Lengths, angles or volumes (a triple product: 6 x a tetrahedron's) of rows of atoms."""
    first, *others = np.moveaxis(np.asarray(positions_n3)[np.asarray(atoms)], 1, 0)
    if kind == "bond":
        return np.linalg.norm(others[0] - first, axis=1)
    if kind == "angle":
        u, v = first - others[0], others[1] - others[0]
        return np.arctan2(np.linalg.norm(np.cross(u, v), axis=1), np.sum(u * v, axis=1))
    a, b, c = (other - first for other in others)
    return np.sum(np.cross(a, b) * c, axis=1)


def tabulate(conformers: Iterable[tuple[Chem.Mol, np.ndarray]], least: int) -> Table:
    """Usual values over molecules and their positions [atoms, 3], of names met `least` times.

    The value is the median (0 for a plane). The spread is the root mean square of what is left, for
    planes the absolute deviation that two in three stay within: groups of one name are either
    nearly flat or not flat at all, and only the former are meant.
    """
    found: dict[Kind, dict[str, list]] = {k: defaultdict(list) for k in ("bond", "angle", "plane")}
    for mol, positions_n3 in conformers:
        for kind, listed in terms(mol).items():
            if listed:
                values = measure(positions_n3, kind, [term.atoms for term in listed])
                for term, value in zip(listed, values, strict=True):
                    for name in term.names:
                        found[kind][name].append(value)
    return {
        kind: {name: _ideal(kind, v) for name, v in sorted(names.items()) if len(v) >= least}
        for kind, names in found.items()
    }


def _ideal(kind: Kind, values: list[float]) -> Ideal:
    if kind == "plane":
        return Ideal(0.0, float(np.quantile(np.abs(values), 2 / 3)))
    middle = float(np.median(values))
    return Ideal(middle, float(np.sqrt(np.mean(np.square(values - np.float64(middle))))))


def terms(mol: Chem.Mol) -> dict[Kind, list[Term]]:
    """Everything in a sanitized molecule that the table may know, by kind."""
    atoms = list(mol.GetAtoms())
    symbols = [atom.GetSymbol() for atom in atoms]
    hybrids = [_HYBRIDS.get(atom.GetHybridization(), "") for atom in atoms]
    kinds = [f"{s}{a.GetDegree()}{h}" for s, a, h in zip(symbols, atoms, hybrids, strict=True)]
    rings = [frozenset(ring) for ring in mol.GetRingInfo().AtomRings()]
    rings_of: list[list[frozenset]] = [[] for _ in atoms]
    for ring in rings:
        for atom in ring:
            rings_of[atom].append(ring)
    neighbours: list[list[int]] = [[] for _ in atoms]
    orders: dict[tuple[int, int], str] = {}
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        neighbours[i].append(j)
        neighbours[j].append(i)
        conjugated = "c" if bond.GetIsConjugated() else ""
        orders[i, j] = orders[j, i] = ORDERS.get(bond.GetBondType(), "~") + conjugated

    def smallest_ring(*members: int) -> int:
        """Size of the smallest ring through all of them, 0 for none."""
        first, *others = members
        sizes = [len(ring) for ring in rings_of[first] if all(other in ring for other in others)]
        return min(sizes, default=0)

    found: dict[Kind, list[Term]] = {"bond": [], "angle": [], "plane": []}
    for (i, j), order in orders.items():
        if i > j:
            continue
        ends, elements = _join(kinds[i], kinds[j]), _join(symbols[i], symbols[j])
        ring = smallest_ring(i, j)
        around = _join(
            *(
                kinds[a] + "(" + "".join(sorted(symbols[k] for k in neighbours[a] if k != b)) + ")"
                for a, b in ((i, j), (j, i))
            )
        )
        strained = ring if ring <= _STRAINED else 0
        names = f"{around}{order}{strained}", f"{ends}{order}{strained}", f"{elements}{order[0]}"
        found["bond"].append(Term((i, j), names))
        stiff = order[0] in "=:" or order == "-c"
        if not stiff or ring > _FLAT or "1" in (hybrids[i], hybrids[j]):
            continue
        one, two = ([k for k in neighbours[a] if k not in (i, j)] for a in (i, j))
        outer = next((pair for pair in itertools.product(one, two) if pair[0] != pair[1]), None)
        if outer:
            names = f"{ends}{order}{ring}", f"{elements}{order}"
            found["plane"].append(Term((outer[0], i, j, outer[1]), names))
    for centre, around in enumerate(neighbours):
        own = smallest_ring(centre)
        for i, j in itertools.combinations(around, 2):
            ring = smallest_ring(centre, i, j) if own else 0
            place = f"{kinds[centre]}{ring}{own if not ring and own <= _STRAINED else 0}"
            arms = _join(*(f"{orders[centre, k][0]}{symbols[k]}" for k in (i, j)))
            hydrogens = (symbols[i] == "H") + (symbols[j] == "H")
            names = f"{arms}@{place}", f"{hydrogens}@{place}", f"{kinds[centre]}{ring}"
            found["angle"].append(Term((i, centre, j), names))
        if len(around) == 3 and hybrids[centre] == "2":
            arms = _join(*(f"{symbols[k]}{orders[centre, k][0]}" for k in around))
            names = f"{arms}@{symbols[centre]}{own}", f"{symbols[centre]}{own}"
            found["plane"].append(Term((centre, *around), names))
    return found


def _join(*parts: str) -> str:
    return ".".join(sorted(parts))
