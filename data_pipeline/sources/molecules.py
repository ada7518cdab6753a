"""SMILES or molfile -> record, for every corpus that writes its molecules so."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from rdkit import Chem, rdBase

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.limits import MOST_CHARACTERS, MOST_LINES
from data_pipeline.records import MoleculeRecord, Property
from data_pipeline.sources.conformers import label_stereo, smiles_of

_STRICT = Chem.SmilesParserParams()
_STRICT.parseName = False
_NONE: Mapping[str, str] = MappingProxyType({})


class NoMolecule(BadInput):
    """What gives no molecule. The message says why and nothing of the record: it is counted."""


def parse_smiles(smiles: str, name: str = "") -> Chem.Mol:
    """The molecule of a SMILES, sanitized, without explicit hydrogens; `_Name` is `name`.

    A CXSMILES is one, too; a SMILES with anything else behind it is none.

    Raises:
      NoMolecule: "SMILES does not parse", "no atoms" where it is empty, or that it is too long.
    """
    if len(smiles) > MOST_CHARACTERS:
        raise NoMolecule(f"SMILES of more than {MOST_CHARACTERS:,} characters")
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles.strip(), _STRICT)
    if mol is None:
        raise NoMolecule("SMILES does not parse")
    if not mol.GetNumAtoms():
        raise NoMolecule("no atoms")
    mol.SetProp("_Name", name)  # what errors of the structure tokenizer call it
    return mol


def from_smiles(
    smiles: str,
    identifier: str,
    name: str = "",
    texts: Mapping[str, str] = _NONE,
    properties: Sequence[Property] = (),
) -> MoleculeRecord:
    """The record of a molecule that has a SMILES and no conformer.

    Raises:
      NoMolecule: as `parse_smiles`.
    """
    mol = parse_smiles(smiles, identifier)
    # Most have no hydrogens of their own, and to remove none takes as long as to parse them all.
    bare = mol.GetNumHeavyAtoms() == mol.GetNumAtoms()
    with rdBase.BlockLogs():
        canonical = Chem.MolToSmiles(mol) if bare else smiles_of(mol)
    return MoleculeRecord(identifier, canonical, name, mol, dict(texts), tuple(properties))


def parse_molfile(molfile: str) -> Chem.Mol:
    """The molecule of a molfile, sanitized, its explicit hydrogens kept, with one conformer.

    Raises:
      NoMolecule: "RDKit reads no molecule", or that it is too long.
    """
    return _parsed(Chem.MolFromMolBlock, molfile)


def parse_mol2(block: str) -> Chem.Mol:
    """As `parse_molfile`, the first molecule of a Tripos MOL2 file."""
    return _parsed(Chem.MolFromMol2Block, block)


def _parsed(parse: Callable[..., Chem.Mol | None], block: str) -> Chem.Mol:
    if block.count("\n") > MOST_LINES:
        raise NoMolecule(f"molecule of more than {MOST_LINES:,} lines")
    with rdBase.BlockLogs():
        mol = parse(block, removeHs=False)
    if mol is None or not mol.GetNumAtoms():
        raise NoMolecule("RDKit reads no molecule")
    return mol


def from_conformer(
    mol: Chem.Mol,
    identifier: str,
    name: str = "",
    texts: Mapping[str, str] = _NONE,
    properties: Sequence[Property] = (),
) -> MoleculeRecord:
    """The record of a molecule with a conformer, whose stereo it gets.

    Raises:
      NoMolecule: "no 3D coordinates", or "hydrogens without coordinates".
    """
    if not mol.GetConformer().Is3D():
        raise NoMolecule("no 3D coordinates")
    if any(atom.GetTotalNumHs() for atom in mol.GetAtoms()):
        raise NoMolecule("hydrogens without coordinates")
    with rdBase.BlockLogs():
        label_stereo(mol)
        smiles = smiles_of(mol)
    mol.SetProp("_Name", identifier)
    return MoleculeRecord(identifier, smiles, name, mol, dict(texts), tuple(properties))
