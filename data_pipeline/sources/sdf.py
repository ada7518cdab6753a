"""Molecules with conformers in an SDF file, plain or compressed; and the writer of such files.

Making conformers costs far more than reading them, so a corpus is embedded once and then read from
the SDF file that `write` made: same records, same order.
"""

import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from data_pipeline.formats.sdf import SdfEntry, sdf_entries
from data_pipeline.records import MoleculeRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.molecules import from_conformer, parse_molfile
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

NAME = "name"  # the data field that holds a record's name; the title line holds its id
Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "sdf", (".sdf",))


def read(file: Path, options: Options, tally: Tally) -> Iterator[MoleculeRecord]:
    """One record per entry; entries without 3D coordinates for every atom are dropped.

    The title line is the record's id; an entry without one is called by the file and its number.
    """
    return records(options.first(sdf_entries(file)), _record, tally)


def write(path: str | Path, records: Iterable[MoleculeRecord]) -> int:
    """Writes records with conformers to an SDF file, gzipped where its name ends in .gz.

    Returns how many. The file appears when all are written; equal records give equal bytes.

    Raises:
      BadInput: a record has no conformer.
    """
    count = 0
    with atomic_file(path) as file, _compressed(file, Path(path).suffix == ".gz") as out:
        for record in records:
            if not record.mol.GetNumConformers():
                raise BadInput(f"{record.id} has no conformer to write: make conformers first")
            out.write(_block(record).encode("utf-8"))
            count += 1
    return count


def _compressed(file: IO, gzipped: bool) -> AbstractContextManager[IO]:
    if not gzipped:
        return nullcontext(file)
    # Without name and time, so that the bytes depend on the records alone.
    return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0)


def _block(record: MoleculeRecord) -> str:
    mol = Chem.Mol(record.mol)
    for name in mol.GetPropNames():
        mol.ClearProp(name)
    mol.SetProp("_Name", record.id)
    if record.name:
        mol.SetProp(NAME, record.name)
    buffer = io.StringIO()
    with Chem.SDWriter(buffer) as writer:
        writer.write(mol)
    return buffer.getvalue()


def _record(identifier: str, entry: SdfEntry) -> MoleculeRecord:
    name = entry.fields.get(NAME, "").strip()
    return from_conformer(parse_molfile(entry.molfile), identifier, name)
