"""What makes two records the same, and what entities a record is about."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from biomatrix_jax.structure.limits import MOST_CHARACTERS
from data_pipeline.composition.facts import described
from data_pipeline.records import (
    InteractionRecord,
    InterleavedRecord,
    MoleculeRecord,
    ProteinRecord,
    Record,
    TextRecord,
)

if TYPE_CHECKING:
    from rdkit import Chem

KEY_BYTES = 16

Kind = Literal["molecule", "protein"]


def subject_key(record: Record) -> bytes:
    """Equal for records about the same.

    Molecules are the same by canonical isomeric SMILES, proteins by sequence, texts by their words;
    one with a structure is not the same as one without, since that would lose the structure.
    Interactions are the same where partners and what was measured are.
    """
    return _hash(*_told(record))


def record_key(record: Record) -> bytes:
    """Equal for records about the same that say the same of it, names and titles aside; the
    `subject_key` where a record brings no texts and no properties."""
    if isinstance(record, TextRecord | InterleavedRecord):
        return subject_key(record)
    said = [f"{label}: {text}" for label, text in record.texts.items()]
    if not isinstance(record, InteractionRecord):  # of which they are what it is about
        said += map(described, record.properties)
    return _hash(subject_key(record).hex(), *sorted(said)) if said else subject_key(record)


def entity_keys(record: Record) -> Iterator[bytes]:
    """Of every molecule and protein that a record is about, see `entity_key`."""
    if isinstance(record, InteractionRecord):
        for partner in record.partners:
            yield from entity_keys(partner)
    elif isinstance(record, InterleavedRecord):
        for mention in record.mentions:
            yield entity_key(mention.kind, mention.string)
    elif isinstance(record, MoleculeRecord):
        yield entity_key("molecule", record.smiles)
    elif isinstance(record, ProteinRecord):
        yield entity_key("protein", record.sequence)


def entity_key(kind: Kind, string: str) -> bytes:
    """Equal for what an evaluation would take for one molecule or protein.

    Molecules are one by the first block of their InChIKey, whatever their stereo, isotopes and
    (mostly) protons; where InChI has none, by their canonical SMILES. Proteins are one by their
    sequence.
    """
    if kind == "molecule":
        string = _connectivity(string)
    return _hash(kind, string)


def _told(record: Record) -> list[str]:
    if isinstance(record, MoleculeRecord):
        return ["molecule", record.smiles, str(bool(record.mol.GetNumConformers()))]
    if isinstance(record, ProteinRecord):
        return ["protein", record.sequence, str(record.backbone is not None)]
    if isinstance(record, TextRecord | InterleavedRecord):
        return ["text", *record.text.casefold().split()]
    partners = sorted("\0".join(_told(partner)) for partner in record.partners)
    return ["interaction", *partners, *sorted(map(described, record.properties))]


def parses(smiles: str) -> bool:
    return bool(smiles) and _parsed(smiles) is not None


def _connectivity(smiles: str) -> str:
    """The first block of the InChIKey, or what stands for it."""
    from rdkit import Chem, rdBase

    mol = _parsed(smiles)
    if mol is None:
        return smiles
    with rdBase.BlockLogs():
        return Chem.MolToInchiKey(mol)[:14] or Chem.MolToSmiles(mol, isomericSmiles=False)


def _parsed(smiles: str) -> "Chem.Mol | None":
    from rdkit import Chem, rdBase

    if len(smiles) > MOST_CHARACTERS:
        return None
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(smiles)


def _hash(*parts: str) -> bytes:
    # A text may have unpaired surrogates; composition is where it is counted for that.
    told = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(told, digest_size=KEY_BYTES).digest()
