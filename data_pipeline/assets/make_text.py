"""Makes biomatrix_jax/assets/text/gene_ontology.jsonl.gz: a little English scientific prose.

The source is the SQLite file of Bioconductor's annotation package GO.db, which holds the terms of
the Gene Ontology (CC BY 4.0) with their definitions. The licence, the version and how to fetch
that file are in PROVENANCE.md beside the asset.

  python -m data_pipeline.assets.make_text GO.sqlite

The Gene Ontology is built from templates ("Any process that activates or increases the frequency
of ..."), so a plain sample repeats itself. Terms are visited in an order drawn by hash and kept
when most of their wording is new and they are long enough to be prose.
"""

import argparse
import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.assets.reproducible import write_gzip
from data_pipeline.sources.text import IN_THE_BOX

RECORDS = 1200
DEFINITION_CHARACTERS = range(250, 1001)
SEEN_SHARE = 0.3  # a definition with a larger share of its shingles seen before is a near copy
KINDS = {"BP": "Biological process", "CC": "Cellular component", "MF": "Molecular function"}


def read_terms(path: str | Path) -> list[tuple[str, str, str, str]]:
    """(GO id, name, ontology, definition) of every term that is current and has a definition."""
    if not Path(path).is_file():
        raise BadInput(f"{path} does not exist: pass the GO.sqlite file of the GO.db package")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return database.execute(
                "SELECT go_id, term, ontology, definition FROM go_term "
                "WHERE definition IS NOT NULL ORDER BY go_id"
            ).fetchall()
        except sqlite3.DatabaseError as error:
            raise BadInput(
                f"{path} is not the GO.sqlite file of the GO.db package: {error}"
            ) from None


def select(terms: Iterable[tuple[str, str, str, str]], count: int) -> Iterator[dict[str, str]]:
    """Up to `count` records {"id", "title", "text"}, in hash order of their ids."""
    seen: set[tuple[str, ...]] = set()
    taken = 0
    for identifier, name, ontology, definition in sorted(terms, key=_hash_order):
        if taken == count:
            return
        definition = " ".join(definition.split())
        if len(definition) not in DEFINITION_CHARACTERS:
            continue
        shingles = _shingles(definition)
        if len(shingles & seen) > SEEN_SHARE * len(shingles):
            continue
        seen |= shingles
        taken += 1
        text = f"{KINDS[ontology]}: {name}. {definition}"
        yield {"id": identifier, "title": name, "text": text}


def _hash_order(term: tuple[str, ...]) -> bytes:
    return hashlib.blake2b(term[0].encode(), digest_size=8).digest()


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return set(zip(words, words[1:], words[2:], words[3:], strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="GO.sqlite")
    parser.add_argument("--out", default=IN_THE_BOX, type=Path)
    arguments = parser.parse_args()
    records = sorted(select(read_terms(arguments.source), RECORDS), key=lambda r: r["id"])
    write_gzip(arguments.out, "".join(json.dumps(record) + "\n" for record in records))
    print(f"{len(records)} records, {sum(len(r['text']) for r in records)} characters")


if __name__ == "__main__":
    main()
