"""What recipes may say to every reader."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from biomatrix_jax.errors import BadInput

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Limited:
    """`limit`: read so many entries from the start only, counted before any is dropped."""

    limit: int | None = None

    def __post_init__(self):
        if self.limit is not None and self.limit < 1:
            raise BadInput(f"limit must be at least 1, not {self.limit}")

    def first(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries that are to be read."""
        return islice(entries, self.limit)
