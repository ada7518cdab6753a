"""What recipes may say to every reader."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, TypeVar

from biomatrix_jax.errors import BadInput

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Limited:
    """`limit`: read so many entries from the start only, counted before any is dropped.

    A reader's `beside` names those of its options that are paths of other files or folders which
    decide its records. A reader that has a place for them where an option is not given says so in
    a `paths_beside` of its own: what is not told there may change without anyone's noticing.
    """

    limit: int | None = None

    beside: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        if self.limit is not None and self.limit < 1:
            raise BadInput(f"limit must be at least 1, not {self.limit}")

    def paths_beside(self, inputs: Sequence[Path]) -> list[Path]:
        """The files and folders that decide the records beside the inputs: those that `beside`
        names, where they are given."""
        return [Path(path) for name in self.beside if (path := getattr(self, name))]

    def first(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries that are to be read."""
        return islice(entries, self.limit)
