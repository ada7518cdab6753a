"""ZINC20: purchasable molecules, by tranches of weight and logP.

https://zinc20.docking.org/tranches/home lists the files to fetch from files.docking.org, one or
more a tranche, free to use and not to redistribute in large part. As SMILES they are called .smi:
`SMILES id` a line, usually below the header `smiles zinc_id`. As text they are called .txt: tabs
between the columns smiles, zinc_id, inchikey, mwt, logp, reactive, purchasable, tranche_name and
features, which a header names. Read are the SMILES and, where given, mwt and logp.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import decoded, numbered
from data_pipeline.records import MoleculeRecord
from data_pipeline.sources.columns import Column, numbers
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.molecules import from_smiles
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

SMILES, ID = "smiles", "zinc_id"
COLUMNS = (Column("mwt", "Molecular weight", "g/mol"), Column("logp", "LogP"))
Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "zinc20", (".smi", ".txt"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[MoleculeRecord]:
    """One record per line, called `zinc:ID`, or by the file and line where it has no id."""
    return records(options.first(_rows(file)), partial(_record, tally=tally), tally)


def _record(where: str, row: dict[str, str], tally: Tally) -> MoleculeRecord:
    record = from_smiles(row.get(SMILES, ""), f"zinc:{row.get(ID) or where}")
    return replace(record, properties=numbers(row, COLUMNS, tally, record.id))


def _rows(file: Path) -> Iterator[tuple[str, dict[str, str] | BadInput]]:
    """The lines as {column: text}, below a header or without one."""
    columns, separator = None, None
    for where, line in numbered(file):
        if columns is None:
            separator = "\t" if b"\t" in line else None  # else blanks, one or more
            columns = line.decode("utf-8", "replace").lower().split(separator)
            if SMILES in columns:
                continue
            columns = [SMILES, ID]
        try:
            fields = decoded(line).split(separator)
            yield where, dict(zip(columns, fields, strict=False))
        except BadInput as error:
            yield where, error
