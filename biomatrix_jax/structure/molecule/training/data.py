"""Molecules to the atoms that training sees: described in processes, split by molecule."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule.conformers import Described, describe_molecules
from biomatrix_jax.structure.molecule.errors import MoleculeError
from biomatrix_jax.structure.pool import in_order

BATCH = 256

Item = TypeVar("Item")


class Atoms(NamedTuple):
    """Descriptors of one molecule's atoms, and the molecule's SMILES, which the split goes by."""

    smiles: str  # from `split_key`
    descriptors: np.ndarray  # float64 [atoms, 4]: angstrom, radian, radian, sign


@dataclass
class Corpus:
    """Descriptors of the molecules read, and why others were dropped.

    `first` has for each reason in `dropped` what was said of the first molecule.
    """

    train: list[np.ndarray] = field(default_factory=list)  # float64 [atoms, 4] each
    held_out: list[np.ndarray] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{len(self.train):,} molecules to train on, {len(self.held_out):,} held out"]
        parts += [
            f"{count:,} dropped: {reason} (first: {self.first[reason]})"
            for reason, count in self.dropped.most_common()
        ]
        return "; ".join(parts)


def split_key(mol: Chem.Mol) -> str:
    """Canonical SMILES without stereo, and without explicit hydrogens where they can be implied."""
    return Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False)


def is_held_out(smiles: str, percent: int) -> bool:
    """Whether a molecule is held out: by its SMILES alone, hence alike in every corpus.

    Args:
      smiles: from `split_key`.
      percent: of all molecules, 0 to 99.
    """
    digest = hashlib.sha256(smiles.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") % 100 < percent


def collect(
    items: Iterable[Item],
    to_molecule: Callable[[Item], Chem.Mol],
    *,
    percent: int = 5,
    workers: int = 1,
) -> Corpus:
    """The atoms of many molecules, in the order of `items` whatever the number of workers.

    Args:
      items: what molecules are made of, such as `files.entries`; picklable.
      to_molecule: makes one with explicit hydrogens and a conformer, or raises BadInput; picklable.
      percent: of the molecules that are held out.
      workers: processes.
    """
    corpus = Corpus()
    for _, found in in_order(partial(_describe, to_molecule), items, workers, BATCH):
        if isinstance(found, Atoms):
            part = corpus.held_out if is_held_out(found.smiles, percent) else corpus.train
            part.append(found.descriptors)
        else:
            # Errors about molecules name them first; what they have in common is their type.
            is_molecule = isinstance(found, MoleculeError)
            reason = type(found).__name__ if is_molecule else str(found)
            corpus.dropped[reason] += 1
            corpus.first.setdefault(reason, str(found))
    return corpus


def _describe(
    to_molecule: Callable[[Item], Chem.Mol], items: Sequence[Item]
) -> list[Atoms | BadInput]:
    results: list[Atoms | BadInput | None] = [None] * len(items)
    mols = {}
    for i, item in enumerate(items):
        try:
            mols[i] = to_molecule(item)
        except BadInput as error:
            results[i] = error
    described = describe_molecules(list(mols.values()))
    for (i, mol), found in zip(mols.items(), described, strict=True):
        is_described = isinstance(found, Described)
        results[i] = Atoms(split_key(mol), found.descriptors) if is_described else found
    return results
