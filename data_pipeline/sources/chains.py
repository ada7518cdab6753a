"""From a parsed chain to its sequence and backbone, gaps in the numbering filled in.

The rules are those that the GCP-VQVAE tokenizer was trained with: missing residues become X without
coordinates, as many as the numbering says, or where that is implausible as many as would span the
distance.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from biomatrix_jax.errors import BadInput

if TYPE_CHECKING:
    from Bio.PDB.Chain import Chain
    from Bio.PDB.Residue import Residue

BACKBONE = ("N", "CA", "C", "O")
CA_STEP = 3.8  # angstrom from one CA to the next
LETTERS = {
    "ALA": "A", "ARG": "R", "ASN": "N", "ASP": "D", "CYS": "C", "GLN": "Q", "GLU": "E",
    "GLY": "G", "HIS": "H", "ILE": "I", "LEU": "L", "LYS": "K", "MET": "M", "PHE": "F",
    "PRO": "P", "SER": "S", "THR": "T", "TRP": "W", "TYR": "Y", "VAL": "V",
}  # fmt: skip


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


def read_chain(chain: "Chain", limits: Limits) -> tuple[str, np.ndarray]:
    """The residues of a Biopython chain, without HETATM groups (water, ligands, selenomethionine).

    Returns:
      The sequence, X where a residue is missing or not one of the twenty, and the backbone, float32
      [L, 4, 3], N, CA, C, O in angstrom, a residue without all four NaN throughout.

    Raises:
      BadInput: the chain is no protein or is outside `limits`.
    """
    residues = [residue for residue in chain if residue.id[0] == " "]
    if not any("CA" in residue for residue in residues):
        raise BadInput("no protein residue")
    letters, atoms = [], []
    previous = None
    for residue in residues:
        gap = 0 if previous is None else missing_between(previous, residue)
        letters += ["X"] * gap + [LETTERS.get(residue.get_resname().strip(), "X")]
        atoms += [_NOTHING] * gap + [_atoms(residue)]
        previous = residue
    if len(letters) > limits.max_residues:
        raise BadInput(f"longer than {limits.max_residues} residues")
    backbone = np.stack(atoms)
    unobserved = np.isnan(backbone).any(axis=(1, 2))
    backbone[unobserved] = np.nan
    if unobserved.mean() > limits.max_missing:
        raise BadInput(f"more than {limits.max_missing:.0%} of the residues are missing")
    if _longest_run(unobserved) > limits.max_missing_run:
        raise BadInput(f"more than {limits.max_missing_run} residues missing in a row")
    return "".join(letters), backbone


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
    return min(gap, max(0, int(1.2 * distance / CA_STEP) - 1))


_NOTHING = np.full((4, 3), np.nan, np.float32)


def _atoms(residue: "Residue") -> np.ndarray:
    atoms = _NOTHING.copy()
    for row, name in enumerate(BACKBONE):
        if name in residue:
            atoms[row] = residue[name].coord
    return atoms


def _longest_run(flags: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
