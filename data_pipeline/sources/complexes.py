"""What readers of complexes share: the chains of a structure file, and ligands in their poses."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.chains import Limits, read_chain
from biomatrix_jax.structure.protein.errors import DamagedChain, NoProtein, ProteinError
from biomatrix_jax.structure.protein.files import parse
from data_pipeline.records import MoleculeRecord, ProteinRecord
from data_pipeline.sources.conformers import label_stereo, smiles_of
from data_pipeline.sources.molecules import from_conformer, from_smiles
from data_pipeline.sources.options import Limited


@dataclass(frozen=True)
class ComplexOptions(Limits, Limited):
    """What readers of files that name complexes have in common.

    Attributes:
      structures: the folder of what the files name; where it is not given, the one above theirs.
      add_hydrogens: place those that ligands lack; else such ligands go without their pose.
    """

    structures: str | None = None
    add_hydrogens: bool = True

    beside: ClassVar[tuple[str, ...]] = ("structures",)

    def __post_init__(self):
        Limits.__post_init__(self)
        Limited.__post_init__(self)

    def folder(self, file: Path) -> Path:
        """That of the structures which an input file names."""
        return Path(self.structures) if self.structures else file.absolute().parent.parent

    def paths_beside(self, inputs: Sequence[Path]) -> list[Path]:
        return super().paths_beside(inputs) or list(dict.fromkeys(map(self.folder, inputs)))


def existing(paths: Iterable[Path], what: str) -> Path:
    """The first of these files that is there; raises BadInput "no file of <what>"."""
    for path in paths:
        if os.path.isfile(path):  # False, too, for a name that no file can have
            return path
    raise BadInput(f"no file of {what}")


def chains(file: Path, limits: Limits) -> dict[str, ProteinRecord | BadInput]:
    """The protein chains of a file's first model by their ids, or why one is not usable.

    Raises:
      BadInput: the file cannot be read; the message is a reason to count and does not say where.
    """
    try:
        entry = parse(file)
    except ProteinError:
        raise BadInput("structure file cannot be read") from None
    except BadInput:
        raise BadInput("structure file is missing, damaged or cut short") from None
    found: dict[str, ProteinRecord | BadInput] = {}
    for chain in entry.chains:
        name = chain.id.strip()
        try:
            read = read_chain(chain, limits)
        except NoProtein:
            continue
        except DamagedChain:
            found[name] = BadInput("protein chain: damaged")
        except ProteinError as error:
            found[name] = BadInput(f"protein chain: {error.problem}")
        else:
            found[name] = ProteinRecord(
                f"{entry.id}_{name}", name, read.sequence, read.backbone, entry.title
            )
    return found


def all_chains(file: Path, limits: Limits) -> tuple[tuple[ProteinRecord, ...], list[str]]:
    """The usable chains of a file, and why others are not; raises BadInput where none is."""
    found = chains(file, limits).values()
    lost = [str(chain) for chain in found if isinstance(chain, BadInput)]
    usable = tuple(chain for chain in found if isinstance(chain, ProteinRecord))
    if not usable:
        raise BadInput(lost[0] if lost else "no protein chain")
    return usable, lost


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
