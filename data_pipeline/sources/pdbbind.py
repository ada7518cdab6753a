"""PDBbind: complexes of the PDB with the affinity measured for them; read for evaluation.

From https://www.pdbbind-plus.org.cn (formerly http://www.pdbbind.org.cn), after registration and
under its licence agreement; nothing of it may be passed on. The index of proteins with ligands has
a line for each complex, in `INDEX_general_PL_data.<year>` and `INDEX_refined_data.<year>` as the
first here, in `INDEX_general_PL.2020R1.lst` and `INDEX_refined_set.<year>` as the second:

  3zzf  2.20  2012   0.40  Ki=400mM      // 3zzf.pdf (NLG)
  6rsa   NMR  1986  Ki=40uM       // 6rsa.pdf (UVC) covalent complex

PDB code, resolution (angstrom), year of release, -log10 of the affinity in M, affinity, reference,
ligand (its code in the PDB, or as in `(5-mer)`), remark; lines that begin with # are comments. A
folder called as the code has `<code>_protein.pdb`, `<code>_ligand.sdf` and `<code>_ligand.mol2`; of
the latter two, which are the same molecule, RDKit does not always read both.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import decoded, numbered, read_lines
from data_pipeline.formats.sdf import sdf_entries
from data_pipeline.records import InteractionRecord, Property
from data_pipeline.sources.columns import NUMBER, Column
from data_pipeline.sources.complexes import ComplexOptions, all_chains, existing, ligand
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.interactions import each
from data_pipeline.sources.measurements import RELATION, measured, properties
from data_pipeline.sources.molecules import parse_mol2, parse_molfile
from data_pipeline.sources.tally import Tally

if TYPE_CHECKING:
    from rdkit import Chem

# In a folder, the first of these that is there; refined sets are asked for by the file's name.
INDEXES = ("INDEX_general_PL_data.*", "INDEX_general_PL.*")

_CODE = re.compile("[0-9][0-9A-Za-z]{3}")
_LINE = re.compile(
    rf"(?P<code>{_CODE.pattern})\s+(?:NMR|(?P<resolution>\S+))\s+(?P<year>\d{{4}})"
    rf"(?:\s+(?P<log>{NUMBER}))?"
    rf"\s+(?P<measure>[A-Za-z]+(?:50)?)(?P<relation>{RELATION})(?P<value>{NUMBER})(?P<unit>[a-z]?M)"
    r"\s*//[^(]*\((?P<ligand>[^)]*)\)\s*(?P<remark>.*)"
)


@dataclass(frozen=True)
class Options(ComplexOptions):
    """Where structures are, and which chains are usable.

    Attributes:
      structures: the folder that has the complexes' folders, or folders of them, as the archives
        are unpacked; where it is not given, the one above that of the index.
      add_hydrogens: place those that ligands lack; else such ligands go without their pose.
    """


def inputs(path: str | None, options: Options) -> list[Path]:
    """The index that a path names, or that of a release's folder or of its folder `index`."""
    if path and (folder := Path(path)).is_dir():
        for pattern in INDEXES:
            if found := sorted([*folder.glob(pattern), *folder.glob(f"index/{pattern}")]):
                return found
        raise BadInput(f"{path}: no {INDEXES[0]} there or in its folder index: give the index file")
    return corpus_files(path, "pdbbind", ("",))


def read(file: Path, options: Options, tally: Tally) -> Iterator[InteractionRecord]:
    """One record per line: the protein's chains, the ligand in its pose, the affinity.

    Complexes whose ligand is remarked to be incomplete are dropped: what was measured is another
    molecule. A ligand whose SDF does not parse is read from its MOL2, and that is counted.
    """
    root = options.folder(file)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder")
    folders = _folders(root)

    def build(line: re.Match, identifier: str) -> tuple[InteractionRecord, list[str]]:
        return _interaction(line, identifier, folders, options)

    return each(_lines(file), options, tally, lambda line: f"pdbbind:{line['code']}", build)


def _lines(file: Path) -> Iterator[tuple[str, re.Match | BadInput]]:
    for where, line in numbered(file):
        if line.startswith(b"#"):
            continue
        try:
            found = _LINE.fullmatch(decoded(line).strip())
        except BadInput as error:
            yield where, error
            continue
        yield where, found or BadInput("not a line of PDBbind's index")


def _folders(root: Path, depth: int = 2) -> list[Path]:
    """The folder and those within that may have complexes' folders in them."""
    within = [p for p in sorted(root.iterdir()) if not _CODE.fullmatch(p.name) and p.is_dir()]
    return [root, *(f for p in within for f in _folders(p, depth - 1))] if depth else [root]


def _interaction(
    line: re.Match, identifier: str, folders: list[Path], options: Options
) -> tuple[InteractionRecord, list[str]]:
    if "incomplete ligand" in line["remark"]:
        raise BadInput("ligand's structure is incomplete")
    code = line["code"]
    files = [folder / code / code for folder in folders]
    proteins, lost = all_chains(
        existing((Path(f"{file}_protein.pdb") for file in files), "the protein"), options
    )
    pose, other = _pose([Path(f"{file}_ligand") for file in files])
    name = line["ligand"].strip()
    own = f"{code}_ligand" if not name or name.endswith("-mer") else f"ligand:{name}"
    molecule, changed = ligand(pose, own, "", options.add_hydrogens)
    values, lost_values = _properties(line)
    texts = {"Remark": line["remark"]} if line["remark"] else {}
    record = InteractionRecord(identifier, (*proteins, molecule), values, texts)
    return record, [*lost, *other, *changed, *lost_values]


def _pose(files: list[Path]) -> tuple["Chem.Mol", list[str]]:
    """The ligand of a SDF file, or of the MOL2 file beside it, and whether it was the latter."""
    try:
        _, entry = next(sdf_entries(existing((f.with_suffix(".sdf") for f in files), "the ligand")))
        if isinstance(entry, BadInput):
            raise entry
        return parse_molfile(entry.molfile), []
    except (BadInput, StopIteration):
        mol2 = existing((f.with_suffix(".mol2") for f in files), "the ligand that parses")
        block = decoded(b"\n".join(read_lines(mol2)))
        return parse_mol2(f"{block}\n"), ["ligand: read from MOL2, no SDF that parses"]


def _properties(line: re.Match) -> tuple[tuple[Property, ...], list[str]]:
    unit = line["unit"].replace("u", "µ")
    affinity = measured(line["measure"], line["relation"], line["value"], unit)
    if affinity is None:
        raise BadInput("affinity is not a number")
    columns = [
        Column("log", f"p{line['measure']}"),
        Column("resolution", "resolution", "Å"),
        Column("year", "release year"),
    ]
    others, lost = properties(line.groupdict(), columns)
    return (affinity, *others), lost
