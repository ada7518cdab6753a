"""FineFineWeb: web pages sorted by field, as the Hugging Face dataset m-a-p/FineFineWeb.

One folder for each of 67 fields, with files of JSON Lines called `biology_000849.jsonl`; `text` is
read, as it stands (pages have no title). What the mixture calls medicine is the folder `medical`.
The pages were drawn from FineWeb (ODC-By 1.0, and the terms of Common Crawl).
https://huggingface.co/datasets/m-a-p/FineFineWeb
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import json_objects
from data_pipeline.records import TextRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files, stem
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally


@dataclass(frozen=True)
class Options(Limited):
    """Which fields to read.

    Attributes:
      fields: the folders to read where `path` is the folder of them all; empty takes the files
        of `path` itself.
    """

    fields: tuple[str, ...] = ("biology", "chemistry", "medical", "health")


def inputs(path: str | None, options: Options) -> list[Path]:
    """The files of the fields, field after field; a path that has no such folders is read itself.

    Raises:
      BadInput: some of the fields have a folder there and others have none.
    """
    there = [name for name in options.fields if path and (Path(path) / name).is_dir()]
    if not there:
        return corpus_files(path, "finefineweb", (".jsonl",))
    if missing := [name for name in options.fields if name not in there]:
        raise BadInput(f"{path}: no folder {missing[0]!r}: fetch it, or leave it out of `fields`")
    return [
        file
        for name in there
        for file in corpus_files(str(Path(path) / name), "finefineweb", (".jsonl",))
    ]


def read(file: Path, options: Options, tally: Tally) -> Iterator[TextRecord]:
    """One record per line, called by file and line (`biology_000849:12`), without a title."""
    return records(options.first(json_objects(file)), partial(_record, stem(file)), tally)


def _record(name: str, where: str, entry: dict) -> TextRecord:
    text = entry.get("text")
    if not isinstance(text, str):
        raise BadInput("no text")
    if not text.strip():
        raise BadInput("empty text")
    return TextRecord(f"{name}:{where.rpartition(':')[2]}", "", text)
