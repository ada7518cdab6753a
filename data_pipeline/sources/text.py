"""Documents of natural language: JSON Lines, plain or compressed, or the text in the box."""

from collections.abc import Iterator
from pathlib import Path

import biomatrix_jax
from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import json_objects
from data_pipeline.records import TextRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

IN_THE_BOX = Path(biomatrix_jax.__file__).parent / "assets/text/gene_ontology.jsonl.gz"
Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "text", (".jsonl",)) if path else [IN_THE_BOX]


def read(file: Path, options: Options, tally: Tally) -> Iterator[TextRecord]:
    """One record per line `{"id", "title", "text"}`; the first two may be missing or empty.

    A line without an id is called by the file's name and its number. Blank lines are no records.
    """
    return records(options.first(json_objects(file)), _record, tally)


def _record(where: str, entry: dict) -> TextRecord:
    identifier, title, text = entry.get("id") or where, entry.get("title") or "", entry.get("text")
    if not all(isinstance(value, str) for value in (identifier, title, text)):
        raise BadInput("id, title or text is not a string")
    if not text.strip():
        raise BadInput("empty text")
    return TextRecord(identifier, title, text)
