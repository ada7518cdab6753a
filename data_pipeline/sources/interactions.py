"""What readers of interactions share: the pass over a file, and partners that have no ids."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from biomatrix_jax.errors import BadInput
from data_pipeline.records import InteractionRecord, MoleculeRecord, ProteinRecord
from data_pipeline.sources.conformers import smiles_of
from data_pipeline.sources.entries import records
from data_pipeline.sources.molecules import parse_smiles
from data_pipeline.sources.options import Limited
from data_pipeline.sources.sequences import checked
from data_pipeline.sources.tally import Tally

Entry = TypeVar("Entry")


def each(
    entries: Iterable[tuple[str, Entry | BadInput]],
    options: Limited,
    tally: Tally,
    name: Callable[[Entry], str],
    build: Callable[[Entry, str], tuple[InteractionRecord, Iterable[str]]],
) -> Iterator[InteractionRecord]:
    """`entries.records` of a file's entries, which are counted under their ids.

    Args:
      entries: where each stands, and what it is or why it cannot be read.
      name: an entry's id, or "" where it has none: then it is called by its place.
      build: the record with an id, and why parts of it were lost; raises BadInput where there is
        none, with a reason that can be counted.
    """

    def make(identifier: str, entry: Entry) -> InteractionRecord:
        record, lost = build(entry, identifier)
        for reason in lost:
            tally.lose(reason, identifier)
        return record

    named = (
        (where if isinstance(entry, BadInput) else name(entry) or where, entry)
        for where, entry in options.first(entries)
    )
    return records(named, make, tally)


def protein(sequence: str, title: str = "") -> ProteinRecord:
    """The protein of a sequence, by which it is called.

    Raises:
      BadInput: the sequence has something else than the letters A to Z.
    """
    return ProteinRecord(_digest("sequence", checked(sequence)), "", sequence, None, title)


def molecule(smiles: str) -> MoleculeRecord:
    """The molecule of a SMILES, called by its canonical one.

    Raises:
      NoMolecule: as `molecules.from_smiles`.
    """
    mol = parse_smiles(smiles)
    canonical = smiles_of(mol)
    identifier = _digest("smiles", canonical)
    mol.SetProp("_Name", identifier)
    return MoleculeRecord(identifier, canonical, "", mol)


def _digest(kind: str, string: str) -> str:
    return f"{kind}:{hashlib.sha256(string.encode()).hexdigest()[:16]}"
