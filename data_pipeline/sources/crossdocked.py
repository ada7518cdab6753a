"""CrossDocked2020: ligands of PDB entries docked into their own receptors and into similar ones.

From http://bits.csb.pitt.edu/files/crossdock2020/, described in
https://github.com/gnina/models/tree/master/data/CrossDocked2020: an archive of types files and one
of structures, both to be unpacked. Each line of a types file is a pose,

  1 6.62 1.192 POCKET/1j0c_A_rec_0.gninatypes POCKET/1j0c_A_rec_1j0d_5pa_lig_tt_min_0.gninatypes #-9

the label, pK, RMSD to the crystal pose (angstrom), receptor, ligand and AutoDock Vina score. The
receptor is `POCKET/1j0c_A_rec.pdb`; the pose is the entry of that number, counted from 0, in
`POCKET/1j0c_A_rec_1j0d_5pa_lig_tt_min.sdf` (`.sdf.gz` since version 1.1). The label is 1 up to 2
angstrom. pK is 0 where no affinity is known, and negative where the pose is a bad one; it is that
of the pair in PDBbind, be it Kd, Ki or IC50. The description states no licence.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import decoded, numbered
from data_pipeline.formats.sdf import sdf_entries
from data_pipeline.records import InteractionRecord
from data_pipeline.sources.columns import Column
from data_pipeline.sources.complexes import ComplexOptions, all_chains, existing, ligand
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.interactions import each
from data_pipeline.sources.measurements import properties
from data_pipeline.sources.molecules import parse_molfile
from data_pipeline.sources.tally import Tally

if TYPE_CHECKING:
    from rdkit import Chem

RECEPTORS = 32  # kept in memory: poses of one receptor follow each other

RMSD = Column("RMSD", "RMSD to the crystal pose", "Å")
VINA = Column("Vina score", "AutoDock Vina score", "kcal/mol")
PK = Column("pK", "-log10(Kd, Ki or IC50 in M)")

_FILE = re.compile(r"(?P<structure>.+)_(?P<number>[0-9]{1,9})\.gninatypes")
_LIGAND = re.compile(r".*_rec_(?P<ligand>.+?)_lig_")


@dataclass(frozen=True)
class Options(ComplexOptions):
    """Where structures are, which poses to read, and which chains are usable.

    Attributes:
      structures: the folder that has the pockets' folders; where it is not given, the one above
        that of the types file.
      max_rmsd: drop poses that are further from the crystal's, in angstrom; null keeps all.
      add_hydrogens: place those that poses lack; else such ligands go without their pose.
    """

    max_rmsd: float | None = 2.0

    def __post_init__(self):
        super().__post_init__()
        if self.max_rmsd is not None and not self.max_rmsd >= 0:
            raise BadInput(f"max_rmsd must be at least 0, not {self.max_rmsd}")


class _Pose(NamedTuple):
    receptor: str
    ligand: str
    number: int
    values: dict[str, str]


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "crossdocked", (".types",))


def read(file: Path, options: Options, tally: Tally) -> Iterator[InteractionRecord]:
    """One record per line: the receptor's chains and the ligand in its pose.

    Both are as they lie in the complex, but see `records.InteractionRecord` on frames. Chains that
    are not usable are lost; the pair is dropped where none is.
    """
    root = options.folder(file)
    receptor = lru_cache(RECEPTORS)(lambda path: all_chains(path, options))

    def build(pose: _Pose, identifier: str) -> tuple[InteractionRecord, list[str]]:
        return _interaction(pose, identifier, root, receptor, options)

    def name(pose: _Pose) -> str:
        return f"{pose.ligand}_{pose.number}"

    return each(_poses(file), options, tally, name, build)


def _poses(file: Path) -> Iterator[tuple[str, _Pose | BadInput]]:
    for where, line in numbered(file):
        try:
            yield where, _pose(decoded(line))
        except BadInput as error:
            yield where, error


def _pose(line: str) -> _Pose:
    columns, _, comment = line.partition("#")
    match columns.split():
        case [_, pk, rmsd, receptor, pose]:
            files = _FILE.fullmatch(receptor), _FILE.fullmatch(pose)
            if all(files):
                receptor, pose = files
                affinity = pk.removeprefix("-")  # 0 is unknown
                values = {
                    RMSD.key: rmsd,
                    VINA.key: "".join(comment.split()[:1]),
                    PK.key: affinity if affinity.strip("0.") else "",
                }
                return _Pose(receptor["structure"], pose["structure"], int(pose["number"]), values)
    raise BadInput("not label, pK, RMSD, receptor and ligand")  # types without RMSD exist, too


def _interaction(
    pose: _Pose, identifier: str, root: Path, receptor: Callable, options: Options
) -> tuple[InteractionRecord, list[str]]:
    distance, _ = properties(pose.values, [RMSD])
    if not distance:
        raise BadInput("RMSD: not a number")
    if options.max_rmsd is not None and distance[0].value > options.max_rmsd:
        raise BadInput(f"RMSD above {options.max_rmsd:g} angstrom")
    proteins, lost = receptor(existing(_with(root, pose.receptor, ".pdb"), "the receptor"))
    poses = existing(_with(root, pose.ligand, ".sdf"), "the ligand")
    code = _LIGAND.match(pose.ligand)
    molecule, changed = ligand(
        _molecule(poses, pose.number),
        code["ligand"] if code else identifier,
        "",
        options.add_hydrogens,
    )
    values, lost_values = properties(pose.values, [VINA, PK])
    record = InteractionRecord(identifier, (*proteins, molecule), (*distance, *values))
    return record, [*lost, *changed, *lost_values]


def _with(root: Path, structure: str, suffix: str) -> list[Path]:
    return [root / f"{structure}{suffix}{packed}" for packed in ("", ".gz")]


def _molecule(file: Path, number: int) -> "Chem.Mol":
    try:
        _, entry = next(islice(sdf_entries(file), number, None), (None, None))
    except BadInput:
        raise BadInput("file of poses is damaged or cut short") from None
    if entry is None:
        raise BadInput("no pose of that number")
    if isinstance(entry, BadInput):
        raise entry
    return parse_molfile(entry.molfile)
