"""Documents of natural language: JSON Lines, plain or gzipped, or the text in the box."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import biomatrix_jax
from biomatrix_jax.errors import BadInput
from data_pipeline.records import TextRecord
from data_pipeline.sources.files import read_lines
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

IN_THE_BOX = Path(biomatrix_jax.__file__).parent / "assets/text/gene_ontology.jsonl.gz"
Options = Limited


def read(path: str | None, options: Options, tally: Tally) -> Iterator[TextRecord]:
    """One record per line `{"id", "title", "text"}`; the first two may be missing or empty.

    A line without an id is called by the file's name and its number. Blank lines are no records.
    """
    path = Path(path or IN_THE_BOX)
    for number, line in enumerate(islice(read_lines(path), options.limit), start=1):
        if not line.strip():
            continue
        tally.begin()
        where = f"{path.name}:{number}"
        try:
            record = _record(line, where)
        except BadInput as error:
            tally.drop(str(error), where)
            continue
        tally.keep()
        yield record


def _record(line: bytes, where: str) -> TextRecord:
    try:
        entry = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadInput("not UTF-8") from None
    except (json.JSONDecodeError, RecursionError):
        raise BadInput("not JSON") from None
    if not isinstance(entry, dict):
        raise BadInput("not a JSON object")
    identifier, title, text = entry.get("id") or where, entry.get("title") or "", entry.get("text")
    if not all(isinstance(value, str) for value in (identifier, title, text)):
        raise BadInput("id, title or text is not a string")
    if not text.strip():
        raise BadInput("empty text")
    return TextRecord(identifier, title, text)
