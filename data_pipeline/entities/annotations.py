"""Documents with the entities that a tool found in them, from files of BERN2 or PubTator.

Documents of another corpus find theirs here by id. Annotations too many for memory become an
SQLite file, which readers take in their place:

  python -m data_pipeline.entities.annotations FILE ... --out ANNOTATIONS.sqlite
"""

import argparse
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.entities import bern2, pubtator
from data_pipeline.entities.store import SUFFIX, Store, write
from data_pipeline.formats.lines import Entry, numbered

SUFFIXES = (".json", ".jsonl", ".pubtator", ".PubTator")


def documents(path: str | Path) -> Iterator[Entry]:
    """The documents of a file, which `bern2.parse` reads.

    Raises:
      BadInput: the file is missing or damaged, or is one JSON value that does not parse.
    """
    _, first_line = next(numbered(path), ("", b""))
    if pubtator.begins(first_line):
        return pubtator.documents(path)
    return bern2.documents(path, first_line)


class Annotations:
    """Annotated documents by id."""

    def __init__(self, store: Store):
        self._store = store

    def find(self, identifier: str) -> dict | None:
        """The document of a record's id, or of what follows the name of the corpus in it."""
        value = self._store.get(identifier) or self._store.get(identifier.rpartition(":")[2])
        return json.loads(value) if value else None


def open_annotations(path: str | Path) -> Annotations:
    """Those of a file: SQLite (.sqlite), or of BERN2 or PubTator, then into memory."""
    path = Path(path)
    if path.suffix == SUFFIX:
        return Annotations(Store.open(path))
    return Annotations(Store.in_memory(_keyed([path]), keep_first=True))


def _keyed(paths: list[Path]) -> Iterator[tuple[str, str]]:
    """The documents that have an id, by it."""
    for _, entry in chain.from_iterable(map(documents, paths)):
        if not isinstance(entry, BadInput) and (key := bern2.key_of(entry)):
            yield key, json.dumps(entry, ensure_ascii=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Annotated documents by id, as an SQLite file.")
    parser.add_argument("annotations", nargs="+", help="of BERN2 or PubTator", type=Path)
    parser.add_argument("--out", required=True, help=f"the file to make, ending in {SUFFIX}")
    arguments = parser.parse_args()
    write(arguments.out, _keyed(arguments.annotations), keep_first=True)


if __name__ == "__main__":
    main()
