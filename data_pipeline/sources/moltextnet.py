"""MolTextNet: 2.5 million molecules of ChEMBL 35, each with a description by a language model.

https://huggingface.co/datasets/liuganghuggingface/moltextnet, Parquet with the columns
canonical_smiles and description; the same as JSON Lines is read, too. GPT-4o-mini wrote the
descriptions, from computed and measured properties; nobody has checked them. Its page tells the
licence; ChEMBL's is CC BY-SA 3.0.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import parquet
from data_pipeline.formats.lines import json_objects
from data_pipeline.records import MoleculeRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.molecules import from_smiles
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

SMILES, DESCRIPTION = "canonical_smiles", "description"
Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "moltextnet", (".parquet", ".jsonl"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[MoleculeRecord]:
    """One record per row, called `moltextnet:FILE:ROW`; the corpus names no molecules."""
    if file.suffix == ".parquet":
        found = parquet.rows(file, (SMILES, DESCRIPTION))
    else:
        found = json_objects(file)
    return records(options.first(found), partial(_record, tally=tally), tally)


def _record(where: str, row: dict[str, Any], tally: Tally) -> MoleculeRecord:
    smiles, description = row.get(SMILES), row.get(DESCRIPTION) or ""
    if not isinstance(smiles, str) or not isinstance(description, str):
        raise BadInput(f"{SMILES} or {DESCRIPTION} is not a string")
    texts = {"Description": description.strip()} if description.strip() else {}
    record = from_smiles(smiles, f"moltextnet:{where}", texts=texts)
    if not texts:
        tally.lose("empty description", record.id)
    return record
