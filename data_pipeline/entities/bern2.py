"""Annotations as BERN2 writes them (https://github.com/dmis-lab/BERN2).

It answers with an object for a text, and with an array of them for PubMed ids:

  {"pmid": "30429607", "text": "Autophagy maintains ...", "annotations": [
    {"id": ["mesh:D001120"], "mention": "arginine", "obj": "drug", "prob": 0.98,
     "is_neural_normalized": false, "span": {"begin": 54, "end": 62}}, ...]}

Only "text" and "annotations" are always there. Spans count characters of that text, which is not
quite the text that BERN2 was given (see `alignment`). `id` is ["CUI-less"] where it found none;
`prob` may be null; version 1.0 wrote MESH: and EntrezGene: for mesh: and NCBIGene:.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary
from data_pipeline.formats.lines import Entry, json_value, numbered

NAMED = {"drug", "chemical", "gene", "protein"}  # types that may have a SMILES or a sequence


@dataclass(frozen=True)
class Annotation:
    """`text[start:end]` names what one of `identifiers` stands for."""

    start: int
    end: int
    identifiers: tuple[str, ...]
    probability: float = 1.0


@dataclass(frozen=True)
class AnnotatedDocument:
    """`key` is the document's own id, "" where it has none."""

    key: str
    text: str
    annotations: tuple[Annotation, ...]


def documents(path: str | Path, first_line: bytes) -> Iterator[Entry]:
    """The documents of a file of answers: one answer a line, or one over many lines.

    The latter is in memory as a whole.

    Args:
      first_line: of the file, which tells the two apart.

    Raises:
      BadInput: the file is missing or damaged, or is one answer that does not parse.
    """
    begin = first_line.strip()
    if begin == b"{" or (begin.startswith(b"[") and not begin.endswith(b"]")):
        return _whole(path)
    return chain.from_iterable(_answer(line, where) for where, line in numbered(path))


def parse(entry: dict | BadInput, lose: Callable[[str], None]) -> AnnotatedDocument:
    """A document and its annotations of molecules and proteins.

    Args:
      lose: told, for each annotation that cannot be used, the reason.

    Raises:
      BadInput: it is no document: "not JSON", "no text", "no annotations".
    """
    if isinstance(entry, BadInput):
        raise entry
    text, found = entry.get("text"), entry.get("annotations")
    if not isinstance(text, str) or not text.strip():
        raise BadInput("no text")
    if not isinstance(found, list):
        raise BadInput("no annotations")
    kept = []
    for one in found:
        try:
            if str(one["obj"]).lower() in NAMED:
                kept.append(_annotation(one, text))
        except BadInput as error:
            lose(str(error))
        except (KeyError, TypeError, ValueError, OverflowError):
            lose("annotation without obj, id or span")
    return AnnotatedDocument(key_of(entry), text, tuple(kept))


def key_of(entry: dict) -> str:
    """The document's own id, "" where it has none."""
    value = entry.get("pmid")
    return str(value) if isinstance(value, str | int) else ""


def _annotation(one: dict, text: str) -> Annotation:
    start, end = one["span"]["begin"], one["span"]["end"]
    mention = one.get("mention")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise BadInput("span outside of the text")
    if mention is not None and text[start:end] != mention:
        raise BadInput("span is not the mention")
    identifiers = [one["id"]] if isinstance(one["id"], str) else one["id"]
    # Version 1.0 joined several with commas and bars.
    split = [part for each in identifiers for part in re.split("[,;|]", each)]
    probability = one.get("prob")
    return Annotation(start, end, tuple(split), 1.0 if probability is None else float(probability))


def _whole(path: str | Path) -> Iterator[Entry]:
    with open_binary(path) as file:
        content = file.read()
    name = Path(path).name
    for where, entry in _answer(content, name):
        if where == name and isinstance(entry, BadInput):
            raise BadInput(f"{path}: {entry}: fetch it again")
        yield where, entry


def _answer(content: bytes, where: str) -> Iterator[Entry]:
    """The documents of one answer."""
    try:
        value = json_value(content)
    except BadInput as error:
        yield where, error
    else:
        several = isinstance(value, list)
        for number, entry in enumerate(value if several else [value]):
            place = f"{where}.{number}" if several else where
            yield place, entry if isinstance(entry, dict) else BadInput("not a JSON object")
