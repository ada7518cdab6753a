"""FineWeb-Edu: educational web pages, as the Hugging Face dataset HuggingFaceFW/fineweb-edu.

Parquet files by crawl or sample, with the columns text, id, dump, url, file_path, language,
language_score, token_count, score and int_score; `text` and `id` are read, the text as it stands
(a line of it is a paragraph of the page, without its title). FineWeb has the same columns but the
last two. Licence: ODC-By 1.0, and the terms of Common Crawl.
https://huggingface.co/datasets/HuggingFaceFW/fineweb-edu
"""

from collections.abc import Iterator
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import parquet
from data_pipeline.records import TextRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "fineweb", (".parquet",))


def read(file: Path, options: Options, tally: Tally) -> Iterator[TextRecord]:
    """One record per row, called by its id, without a title."""
    return records(options.first(parquet.rows(file, ("id", "text"))), _record, tally)


def _record(where: str, row: dict) -> TextRecord:
    identifier, text = row["id"], row["text"]
    if not isinstance(text, str) or not text.strip():
        raise BadInput("empty text")
    if not isinstance(identifier, str) or not identifier:
        raise BadInput("no id")
    return TextRecord(identifier, "", text)
