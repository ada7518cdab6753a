"""What readers of interactions share: the pass over a file, and partners that are sequences."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from biomatrix_jax.errors import BadInput
from data_pipeline.records import InteractionRecord, ProteinRecord
from data_pipeline.sources.options import Limited
from data_pipeline.sources.sequences import checked
from data_pipeline.sources.tally import Tally

Entry = TypeVar("Entry")


def each(
    entries: Iterable[tuple[str, Entry | BadInput]],
    options: Limited,
    tally: Tally,
    name: Callable[[Entry], str],
    build: Callable[[Entry, str], tuple[InteractionRecord, Iterable[str]]],
) -> Iterator[InteractionRecord]:
    """The records of a file's entries, all of them counted.

    Args:
      entries: where each stands, and what it is or why it cannot be read.
      name: an entry's id, or "" where it has none: then it is called by its place.
      build: the record with an id, and why parts of it were lost; raises BadInput where there is
        none, with a reason that can be counted.
    """
    for identifier, entry in options.first(entries):
        tally.begin()
        try:
            if isinstance(entry, BadInput):
                raise entry
            identifier = name(entry) or identifier
            record, lost = build(entry, identifier)
        except BadInput as error:
            tally.drop(str(error), identifier)
            continue
        for reason in lost:
            tally.lose(reason, identifier)
        tally.keep()
        yield record


def protein(sequence: str, title: str = "") -> ProteinRecord:
    """A partner of which there is a sequence and no id.

    Raises:
      BadInput: the sequence has something else than the letters A to Z.
    """
    return ProteinRecord(digest("sequence", checked(sequence)), "", sequence, None, title)


def digest(kind: str, string: str) -> str:
    """An id for what has none, the same wherever the same string is found."""
    return f"{kind}:{hashlib.sha256(string.encode()).hexdigest()[:16]}"
