"""What readers of complexes share: the chains of a structure file, and ligands in their poses."""

from collections.abc import Collection, Iterable
from pathlib import Path

from rdkit import Chem, rdBase

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.chains import Limits, read_chain
from biomatrix_jax.structure.protein.errors import DamagedChain, NoProtein, ProteinError
from biomatrix_jax.structure.protein.files import name_of, parse
from data_pipeline.records import MoleculeRecord, ProteinRecord
from data_pipeline.sources.conformers import label_stereo, smiles_of
from data_pipeline.sources.molecules import NoMolecule, from_conformer, from_smiles


def existing(paths: Iterable[Path], what: str) -> Path:
    """The first of these files that is there; raises BadInput "no file of <what>"."""
    for path in paths:
        if path.is_file():
            return path
    raise BadInput(f"no file of {what}")


def chains(
    file: Path, limits: Limits, wanted: Collection[str] | None = None
) -> tuple[dict[str, ProteinRecord], list[str]]:
    """The usable protein chains of a file's first model by their ids, and why others are not.

    Args:
      wanted: ids of the chains to read; None for all of them. What is no protein is left out.

    Raises:
      BadInput: the file cannot be read; the message is a reason to count and does not say where.
    """
    try:
        entry = parse(file)
    except ProteinError:
        raise BadInput("structure file cannot be read") from None
    except BadInput:
        raise BadInput("structure file is missing, damaged or cut short") from None
    found, lost = {}, []
    for chain in entry.chains:
        identifier = chain.id.strip()
        if wanted is not None and identifier not in wanted:
            continue
        try:
            read = read_chain(chain, limits)
        except NoProtein:
            continue
        except DamagedChain:
            lost.append("protein chain: damaged")
            continue
        except ProteinError as error:
            lost.append(f"protein chain: {error.problem}")
            continue
        found[identifier] = ProteinRecord(
            f"{name_of(file)}_{identifier}", identifier, read.sequence, read.backbone, entry.title
        )
    return found, lost


def all_chains(file: Path, limits: Limits) -> tuple[tuple[ProteinRecord, ...], list[str]]:
    """As `chains`, but raises BadInput also where none is usable."""
    found, lost = chains(file, limits)
    if not found:
        raise BadInput(lost[0] if lost else "no protein chain")
    return tuple(found.values()), lost


def ligand(
    pose: Chem.Mol, identifier: str, name: str, add_hydrogens: bool
) -> tuple[MoleculeRecord, list[str]]:
    """The record of a molecule in its pose, and what was changed or lost of it.

    Poses often have no hydrogens, or only polar ones, and a conformer must have all. They are
    placed at the bond lengths and angles that RDKit has for them, no other atom being moved; or,
    without `add_hydrogens`, the molecule goes without a conformer, with the stereo of its pose.

    Raises:
      NoMolecule: the pose has no 3D coordinates.
    """
    if not any(atom.GetTotalNumHs() for atom in pose.GetAtoms()):
        return from_conformer(pose, identifier, name), []
    if add_hydrogens:
        whole = Chem.AddHs(pose, addCoords=True)
        return from_conformer(whole, identifier, name), ["pose: hydrogens placed by RDKit"]
    label_stereo(pose)
    record = from_smiles(smiles_of(pose), identifier, name)
    return record, ["3D view: hydrogens without coordinates"]


def parse_mol2(block: str) -> Chem.Mol:
    """The first molecule of a Tripos MOL2 file, sanitized, its hydrogens kept, with one conformer.

    Raises:
      NoMolecule: "RDKit reads no molecule".
    """
    with rdBase.BlockLogs():
        mol = Chem.MolFromMol2Block(block, removeHs=False)
    if mol is None or not mol.GetNumAtoms():
        raise NoMolecule("RDKit reads no molecule")
    return mol
