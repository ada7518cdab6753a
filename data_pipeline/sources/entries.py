"""Entries -> records, counted: the loop of readers that make one record of one entry."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from biomatrix_jax.errors import BadInput
from data_pipeline.sources.tally import Tally

Entry = TypeVar("Entry")
Record = TypeVar("Record")


def records(
    entries: Iterable[tuple[str, Entry | BadInput]],
    make: Callable[[str, Entry], Record],
    tally: Tally,
) -> Iterator[Record]:
    """The records that `make` makes of (where, entry), each counted in `tally`.

    One that it raises BadInput of is dropped for that reason, as is one that is a BadInput itself.
    """
    for where, entry in entries:
        tally.begin()
        try:
            if isinstance(entry, BadInput):
                raise entry
            record = make(where, entry)
        except BadInput as error:
            tally.drop(str(error), where)
            continue
        tally.keep()
        yield record
