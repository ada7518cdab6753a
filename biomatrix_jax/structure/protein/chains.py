"""From a parsed chain to its sequence and backbone, gaps in the numbering filled in.

The rules are those that the GCP-VQVAE tokenizer was trained with: missing residues become X without
coordinates, as many as the numbering says, or where that is implausible as many as would span the
distance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.errors import (
    DamagedChain,
    MissingRun,
    NoProtein,
    TooLong,
    TooManyMissing,
)
from biomatrix_jax.structure.protein.gaps import CA_STEP

if TYPE_CHECKING:
    from Bio.PDB import Chain as BioChain
    from Bio.PDB.Residue import Residue

BACKBONE = ("N", "CA", "C", "O")
FARTHEST = 1e6  # angstrom from the origin; further out float32 does not hold a bond
LETTERS = {
    "ALA": "A", "ARG": "R", "ASN": "N", "ASP": "D", "CYS": "C", "GLN": "Q", "GLU": "E",
    "GLY": "G", "HIS": "H", "ILE": "I", "LEU": "L", "LYS": "K", "MET": "M", "PHE": "F",
    "PRO": "P", "SER": "S", "THR": "T", "TRP": "W", "TYR": "Y", "VAL": "V",
}  # fmt: skip
DAMAGE = "damage"  # where a Biopython chain keeps why it must not be used, in `xtra`

Number = tuple[int, str]  # of a residue: 52 and its insertion code, "A" or ""


@dataclass(frozen=True, eq=False)
class Chain:
    """One protein chain, as long as its sequence: L residues, those missing included.

    Attributes:
      id: as in the file, without blanks.
      sequence: L letters, X where a residue is missing or not one of the twenty.
      backbone: float32 [L, 4, 3], the atoms N, CA, C, O in angstrom, a residue without all four NaN
        throughout; [L, 3, 3] for N, CA, C alone.
      numbers: of each residue as in the file, None where one was put into a gap.
      b_factors: float32 [L], of the CA in square angstrom (or whatever the file has there, such as
        a predicted confidence), NaN where there is none.
    """

    id: str
    sequence: str
    backbone: np.ndarray
    numbers: tuple[Number | None, ...]
    b_factors: np.ndarray


@dataclass(frozen=True)
class Limits:
    """What makes a chain unusable. Lengths and runs are in residues, gaps included."""

    max_residues: int = 1280
    max_missing: float = 0.2  # share of residues that were not observed whole
    max_missing_run: int = 15

    def __post_init__(self):
        if self.max_residues < 1 or self.max_missing_run < 0 or not 0 <= self.max_missing <= 1:
            raise BadInput(
                "max_residues must be at least 1, max_missing_run at least 0 and max_missing from "
                f"0 to 1, not {self.max_residues}, {self.max_missing_run}, {self.max_missing}"
            )


def read_chain(chain: "BioChain.Chain", limits: Limits, atoms: Sequence[str] = BACKBONE) -> Chain:
    """The residues of a Biopython chain, without HETATM groups (water, ligands, selenomethionine).

    Args:
      atoms: those that make a residue whole, `BACKBONE` or its first three; see `atoms_of`.

    Raises:
      ProteinError: the chain is damaged, no protein, or outside `limits`.
    """
    entry, name = str(chain.get_full_id()[0]), chain.id.strip()
    if damage := chain.xtra.get(DAMAGE):
        raise DamagedChain(entry, name, damage)
    residues = _residues(chain)
    if not any("CA" in residue for residue in residues):
        raise NoProtein(entry, name, "no protein residue")
    # None stands for a residue that is not in the file.
    placed: list[Residue | None] = []
    for previous, residue in zip([None, *residues], residues, strict=False):
        placed += [None] * (0 if previous is None else missing_between(previous, residue))
        placed.append(residue)
        if len(placed) > limits.max_residues:
            problem = f"longer than {limits.max_residues} residues: cut it into domains"
            raise TooLong(entry, name, problem)
    backbone = np.stack([_coordinates(residue, atoms) for residue in placed])
    unobserved = ~np.isfinite(backbone).all(axis=(1, 2))
    backbone[unobserved] = np.nan
    if unobserved.mean() > limits.max_missing:
        problem = f"more than {limits.max_missing:.0%} of the residues are missing"
        raise TooManyMissing(entry, name, problem)
    if _longest_run(unobserved) > limits.max_missing_run:
        problem = f"more than {limits.max_missing_run} residues missing in a row"
        raise MissingRun(entry, name, problem)
    return Chain(
        id=name,
        sequence="".join(_letter(residue) for residue in placed),
        backbone=backbone,
        numbers=tuple(residue and (residue.id[1], residue.id[2].strip()) for residue in placed),
        b_factors=np.array([_b_factor(residue) for residue in placed], np.float32),
    )


def atoms_of(chain: "BioChain.Chain") -> tuple[str, ...]:
    """The backbone atoms that a chain is made of: N, CA and C alone where no residue has an O.

    Such chains come from decoders and design tools. The published wrapper, which asks for O, takes
    none of them, so that it is the caller's choice to.
    """
    return BACKBONE if any("O" in residue for residue in _residues(chain)) else BACKBONE[:3]


def missing_between(before: "Residue", after: "Residue") -> int:
    """How many residues to put between two that follow each other in the file.

    A jump in the numbering of at most 5 is believed. A larger one may be a convention (a domain
    numbered as in another protein): then as many as the CA distance can hold with a fifth to spare,
    or 5 where a CA is missing. Numbers that fall or repeat (insertion codes) are no gap.
    """
    gap = after.id[1] - before.id[1] - 1
    if gap <= 5:
        return max(0, gap)
    if "CA" not in before or "CA" not in after:
        return 5
    distance = float(np.linalg.norm(after["CA"].coord - before["CA"].coord))
    if not np.isfinite(distance):
        return 5
    return min(gap, max(0, int(1.2 * distance / CA_STEP) - 1))


def _residues(chain: "BioChain.Chain") -> list["Residue"]:
    return [residue for residue in chain if residue.id[0] == " "]


def _letter(residue: "Residue | None") -> str:
    return "X" if residue is None else LETTERS.get(residue.get_resname().strip(), "X")


def _coordinates(residue: "Residue | None", atoms: Sequence[str]) -> np.ndarray:
    found = np.full((len(atoms), 3), np.nan, np.float32)
    for row, name in enumerate(atoms):
        if residue is not None and name in residue:
            found[row] = residue[name].coord
    return found


def _b_factor(residue: "Residue | None") -> float:
    return np.nan if residue is None or "CA" not in residue else residue["CA"].bfactor


def _longest_run(flags: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
