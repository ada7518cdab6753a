"""Annotations in the PubTator format (https://www.ncbi.nlm.nih.gov/research/pubtator3/).

Documents are apart by blank lines:

  ID|t|title
  ID|a|abstract
  ID<tab>start<tab>end<tab>mention<tab>type<tab>identifiers

Spans count characters of the title, one separator and the abstract. Identifiers are mesh's with
or without `MESH:`, numbers for genes, and "-" or "-1" where there is none. Lines of relations,
which some corpora have too, have fewer fields.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import Entry, decoded, read_lines

_PART = re.compile(r"([^|\t]+)\|([ta])\|(.*)")


def begins(line: bytes) -> bool:
    """Whether a file with this first line is of the format."""
    return _PART.match(line.decode("utf-8", "replace")) is not None


def documents(path: str | Path) -> Iterator[Entry]:
    """The documents of a file, each as BERN2 would write it.

    Raises:
      BadInput: the file is missing or damaged.
    """
    block: list[bytes] = []
    for number, line in enumerate(chain(read_lines(path), [b""]), start=1):
        if line.strip():
            block.append(line)
        elif block:
            where = f"{Path(path).name}:{number - len(block)}"
            try:
                yield where, _document([decoded(one) for one in block])
            except BadInput as error:
                yield where, error
            block = []


def _document(block: list[str]) -> dict:
    key, parts, annotations = "", {}, []
    for line in block:
        if found := _PART.match(line):
            key = found[1]
            parts[found[2]] = found[3]
        elif len(fields := line.split("\t")) >= 6:
            _, start, end, mention, kind, identifiers = fields[:6]
            annotations.append(
                {
                    "id": [_prefixed(one, kind) for one in re.split("[,;|]", identifiers)],
                    "span": {"begin": _number(start), "end": _number(end)},
                    "mention": mention,
                    "obj": kind,
                }
            )
    if parts.keys() != {"t", "a"}:
        raise BadInput("not a title and an abstract")
    return {"pmid": key, "text": f"{parts['t']} {parts['a']}", "annotations": annotations}


def _prefixed(identifier: str, kind: str) -> str:
    if kind.lower() == "gene" and re.fullmatch("[0-9]+", identifier):
        return f"NCBIGene:{identifier}"
    if re.fullmatch("[CD][0-9]{6,}", identifier):
        return f"mesh:{identifier}"
    return identifier


def _number(field: str) -> int | None:
    return int(field) if re.fullmatch("[0-9]{1,9}", field) else None
