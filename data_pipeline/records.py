"""What readers yield: one entry of a corpus, typed, before anything is composed or tokenized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from biomatrix_jax.errors import BadInput

if TYPE_CHECKING:
    from rdkit import Chem


@dataclass(frozen=True, eq=False)
class MoleculeRecord:
    """A molecule.

    `id` is unique in its corpus and decides, with a seed, how the record is composed. `smiles` is
    RDKit's canonical isomeric SMILES without explicit hydrogens. `mol` has its hydrogens explicit
    and either one conformer (angstrom) or none; with one, `smiles` has the conformer's stereo.
    `name` is empty where the corpus names no molecules.
    """

    id: str
    smiles: str
    name: str
    mol: Chem.Mol


@dataclass(frozen=True, eq=False)
class ProteinRecord:
    """One chain of a protein structure.

    `sequence` has L letters A to Z, X where the residue is unknown. `backbone` is float32
    [L, 4, 3], the atoms N, CA, C, O in angstrom; a residue that was not observed whole is NaN.
    `title` is the depositor's, empty where the file has none.
    """

    id: str
    chain: str
    sequence: str
    backbone: np.ndarray
    title: str

    def __post_init__(self):
        shape = (len(self.sequence), 4, 3)
        if self.backbone.shape != shape or self.backbone.dtype != np.float32:
            raise BadInput(
                f"protein {self.id}: backbone is {self.backbone.dtype} {self.backbone.shape}, "
                f"not float32 {shape}"
            )


@dataclass(frozen=True)
class TextRecord:
    """A document of natural language. `title` may be empty; `text` reads without it."""

    id: str
    title: str
    text: str


Record = MoleculeRecord | ProteinRecord | TextRecord
