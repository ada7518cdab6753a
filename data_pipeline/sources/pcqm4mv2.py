"""PCQM4Mv2 of OGB-LSC: 3.7 million molecules of PubChemQC with the HOMO-LUMO gap by B3LYP/6-31G*.

https://ogb.stanford.edu/docs/lsc/pcqm4mv2/, CC BY 4.0. `pcqm4m-v2.zip` has `raw/data.csv.gz` with
the columns idx, smiles and homolumogap (eV, empty for the test molecules); and for the training
molecules, the first 3,378,606 rows, `pcqm4m-v2-train.sdf.tar.gz` has an SDF file whose i-th entry
is the geometry of row i. Its authors say that it gives no hydrogens (snap-stanford/ogb, issue 336),
and other bonds than the SMILES for some 46 molecules; with hydrogens or without, it is read.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import ClassVar

from rdkit import Chem, rdBase

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import table
from data_pipeline.formats.sdf import SdfEntry, sdf_entries
from data_pipeline.records import MoleculeRecord
from data_pipeline.sources.columns import Column, numbers, whole
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.molecules import from_conformer, from_smiles, parse_molfile
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

TRAINING = 3_378_606  # rows that have a geometry
GAP = Column("homolumogap", "HOMO-LUMO gap", "eV")


@dataclass(frozen=True)
class Options(Limited):
    """Where the geometries are, and what to do about their hydrogens.

    Attributes:
      structures: path of pcqm4m-v2-train.sdf, unpacked (or gzipped by itself); without it no record
        has a conformer.
      place_hydrogens: set hydrogens that have no coordinates where RDKit puts them, by ideal bonds
        and angles; else such a conformer is lost, and the record has none.
    """

    structures: str | None = None
    place_hydrogens: bool = False

    beside: ClassVar[tuple[str, ...]] = ("structures",)

    def __post_init__(self):
        super().__post_init__()
        if self.structures and self.structures.endswith((".tar.gz", ".tgz", ".tar")):
            raise BadInput(f"{self.structures}: unpack it (tar -xf) and give the .sdf file")


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "pcqm4mv2", (".csv",))


def read(file: Path, options: Options, tally: Tally) -> Iterator[MoleculeRecord]:
    """One record per row, called `pcqm4mv2:IDX`; a conformer that is unusable is lost, not it."""
    rows = table(file, ("idx", "smiles", GAP.key), ",")
    with closing(_Structures(options.structures)) as structures:
        for where, row in options.first(rows):
            tally.begin()
            try:
                record, idx = _flat(row)
            except BadInput as error:
                tally.drop(str(error), where)
                continue
            entry = structures.entry(idx)
            try:
                record = _in_3d(record, entry, options) if entry else record
            except BadInput as error:
                tally.lose(f"conformer: {error}", record.id)
            tally.keep()
            yield replace(record, properties=numbers(row, (GAP,), tally, record.id))


def _flat(row: dict[str, str] | BadInput) -> tuple[MoleculeRecord, int]:
    if isinstance(row, BadInput):
        raise row
    idx = whole(row["idx"])
    if idx is None:
        raise BadInput("idx is not a whole number")
    return from_smiles(row["smiles"], f"pcqm4mv2:{idx}"), idx


def _in_3d(flat: MoleculeRecord, entry: SdfEntry | BadInput, options: Options) -> MoleculeRecord:
    if isinstance(entry, BadInput):
        raise entry
    with rdBase.BlockLogs():
        mol = parse_molfile(entry.molfile)
        if _constitution(mol) != _constitution(flat.mol):
            raise BadInput("other bonds than the SMILES")
        if options.place_hydrogens:
            mol = Chem.AddHs(mol, addCoords=True)
        return from_conformer(mol, flat.id)


def _constitution(mol: Chem.Mol) -> str:
    return Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False)


class _Structures:
    """The entries of the SDF file, asked for in ascending order."""

    def __init__(self, path: str | None):
        self._entries = sdf_entries(path) if path else None
        self._number = 0  # of the entry that comes next

    def entry(self, idx: int) -> SdfEntry | BadInput | None:
        """The idx-th entry, or why there is none; None where there should be none."""
        if self._entries is None or idx >= TRAINING:
            return None
        if idx < self._number:
            return BadInput("idx does not ascend")
        skipped = islice(self._entries, idx - self._number, None)
        _, entry = next(skipped, (None, BadInput("the SDF file has fewer entries")))
        self._number = idx + 1
        return entry

    def close(self) -> None:
        if self._entries:
            self._entries.close()
