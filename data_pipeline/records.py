"""What readers yield: one entry of a corpus, typed, before anything is composed or tokenized.

`id` is unique in its corpus and decides, with a seed, how a record is composed. `texts` are pieces
of prose under the label that says what they are ("Description", "IUPAC name"); nothing in them is
wrapped, cut or completed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from biomatrix_jax.errors import BadInput

if TYPE_CHECKING:
    from rdkit import Chem


@dataclass(frozen=True)
class Property:
    """A value that a corpus gives.

    Attributes:
      name: in words, as a sentence would have it: "HOMO-LUMO gap", "Ki".
      value: a number as the corpus has it, or a word.
      unit: as one writes it behind a number: "eV", "nM", "kcal/mol"; "" where it has none.
      relation: "<" or ">" where the corpus knows a bound, "~" where it is about so much.
      decimals: behind the point, where these many matter, as in total energies; None: four digits
        in all.
    """

    name: str
    value: float | int | str
    unit: str = ""
    relation: Literal["=", "<", ">", "~"] = "="
    decimals: int | None = None

    def __post_init__(self):
        if isinstance(self.value, float) and not np.isfinite(self.value):
            raise BadInput(f"{self.name} is {self.value}")


@dataclass(frozen=True, eq=False)
class MoleculeRecord:
    """A molecule.

    `smiles` is RDKit's canonical isomeric SMILES without explicit hydrogens. `mol` has either one
    conformer (angstrom), then its hydrogens are explicit and `smiles` has the conformer's stereo,
    or none. `name` is empty where the corpus names no molecules.
    """

    id: str
    smiles: str
    name: str
    mol: Chem.Mol
    texts: Mapping[str, str] = field(default_factory=dict)
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, eq=False)
class ProteinRecord:
    """A protein: one chain of a structure, or a sequence alone.

    `sequence` has L letters A to Z, X where the residue is unknown. `backbone` is float32
    [L, 4, 3], the atoms N, CA, C, O in angstrom, with NaN for a residue that was not observed
    whole; None where there is no structure. `confidence` is float32 [L], the pLDDT (0 to 100) of a
    predicted structure. `title` is the depositor's or the protein's name, empty where there is
    none.
    """

    id: str
    chain: str
    sequence: str
    backbone: np.ndarray | None
    title: str
    texts: Mapping[str, str] = field(default_factory=dict)
    properties: tuple[Property, ...] = ()
    confidence: np.ndarray | None = None

    def __post_init__(self):
        for name, shape in (("backbone", (4, 3)), ("confidence", ())):
            value, shape = getattr(self, name), (len(self.sequence), *shape)
            if value is not None and (value.shape != shape or value.dtype != np.float32):
                raise BadInput(
                    f"protein {self.id}: {name} is {value.dtype} {value.shape}, not float32 {shape}"
                )


@dataclass(frozen=True)
class TextRecord:
    """A document of natural language. `title` may be empty; `text` reads without it."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Mention:
    """Where a text names a molecule or a protein: `text[start:end]`, and what that is.

    `string` is a SMILES, or a sequence of the letters A to Z.
    """

    start: int
    end: int
    kind: Literal["molecule", "protein"]
    string: str


@dataclass(frozen=True)
class InterleavedRecord:
    """A document and what it mentions, at least once; mentions ascend and do not overlap."""

    id: str
    title: str
    text: str
    mentions: tuple[Mention, ...]

    def __post_init__(self):
        if not self.mentions:
            raise BadInput(f"{self.id} mentions nothing: it is a TextRecord")
        last = 0
        for mention in self.mentions:
            if not last <= mention.start < mention.end <= len(self.text):
                raise BadInput(f"mention at {mention.start} to {mention.end} is out of order")
            last = mention.end


@dataclass(frozen=True, eq=False)
class InteractionRecord:
    """Molecules and proteins that were measured or seen together, and what is known of it.

    Each partner's id is its own (of a compound, a sequence), not the interaction's. Structures of
    the partners share no frame once they are tokenized.
    """

    id: str
    partners: tuple[MoleculeRecord | ProteinRecord, ...]
    properties: tuple[Property, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if len(self.partners) < 2:
            raise BadInput(f"interaction {self.id} needs two partners")


Record = MoleculeRecord | ProteinRecord | TextRecord | InterleavedRecord | InteractionRecord
