"""The set of binding affinities that Jens Glaser put together: 1.9 million pairs of a protein's
sequence and a molecule, from BindingDB, PDBbind, BioLiP and Binding MOAD.

From https://huggingface.co/datasets/jglaser/binding_affinity, `data/all.parquet`. Its loading
script says BSD two-clause; the sources of the data have licences of their own. Columns: `seq`,
`smiles`, `smiles_can` (made canonical), `affinity_uM` (Kd, Ki, IC50 or EC50: which is not said),
`neg_log10_affinity_M`, and `affinity`, which is the one before normalised and not read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.parquet import rows
from data_pipeline.records import InteractionRecord
from data_pipeline.sources.columns import Column
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.interactions import each, molecule, protein
from data_pipeline.sources.measurements import properties
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

MEASURES = (
    Column("affinity_uM", "binding affinity", "µM"),
    Column("neg_log10_affinity_M", "-log10(binding affinity in M)"),
)

Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "jglaser", (".parquet",))


def read(file: Path, options: Options, tally: Tally) -> Iterator[InteractionRecord]:
    """One record per row that has an affinity; rows have no ids and are called by their place."""
    columns = ("seq", "smiles", *(column.key for column in MEASURES))
    return each(rows(file, columns), options, tally, lambda row: "", _interaction)


def _interaction(row: dict[str, Any], place: str) -> tuple[InteractionRecord, list[str]]:
    measures, lost = properties(row, MEASURES)
    if not measures:
        raise BadInput("no measurement")
    partners = protein(row["seq"] or ""), molecule(row["smiles"] or "")
    return InteractionRecord(f"jglaser:{place}", partners, measures), lost
