"""What composition is asked for."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from biomatrix_jax.errors import BadInput


@dataclass(frozen=True)
class Composition:
    """Probabilities: of each kind of instance, then of each field within a composite one.

    The published ones are not known. A view whose tokenizer is missing is never made.

    Attributes:
      fields: of single texts and properties by their labels, `{"IUPAC name": 1.0}`; others have
        that of `texts` or `properties`.
      random_smiles: that a SMILES starts and branches at random instead of canonically.
      mention: that what an interleaved text mentions is spelled out behind it.
      mention_selfies: that a molecule is so spelled as SELFIES instead of SMILES.
      beyond_vocabulary: what goes when the vocabulary lacks a token of a view: the `view` alone, or
        the whole `record`; it is counted either way.
    """

    smiles_alone: float = 1.0
    selfies_alone: float = 1.0
    molecule_3d_alone: float = 1.0
    protein_sequence_alone: float = 1.0
    protein_3d_alone: float = 1.0
    protein_pair: float = 1.0  # sequence and structure, in random order
    composite: float = 1.0

    smiles: float = 0.8
    selfies: float = 0.8
    molecule_3d: float = 0.8
    protein_sequence: float = 0.8
    protein_3d: float = 0.8
    name: float = 0.8
    title: float = 0.8
    formula: float = 0.5
    molecular_weight: float = 0.5
    logp: float = 0.5
    tpsa: float = 0.5
    h_bond_donors: float = 0.5
    h_bond_acceptors: float = 0.5
    texts: float = 0.8
    properties: float = 0.5
    fields: Mapping[str, float] = field(default_factory=dict)

    random_smiles: float = 0.0
    mention: float = 1.0
    mention_selfies: float = 0.5
    beyond_vocabulary: Literal["view", "record"] = "view"

    def __post_init__(self):
        values = dataclasses.asdict(self)
        if values.pop("beyond_vocabulary") not in ("view", "record"):
            raise BadInput(f"beyond_vocabulary is view or record, not {self.beyond_vocabulary!r}")
        for name, value in (values | values.pop("fields")).items():
            if not 0 <= value <= 1:
                raise BadInput(f"the probability of {name} must be from 0 to 1, not {value}")
