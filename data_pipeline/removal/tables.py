"""Tables on disk: rows of plain data in files, of which only a part is in memory at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput

PAIR = np.dtype([("key", "<i8"), ("first", "<i8")])  # a row's number, that of the one it repeats


@dataclass(frozen=True)
class Table:
    """Rows in several files, without headers, numbered through in the files' order."""

    paths: Sequence[Path]
    dtype: np.dtype

    @cached_property
    def starts(self) -> np.ndarray:
        """The number of the first row of each file, and behind them that of all rows.

        Raises:
          BadInput: a file ends within a row.
        """
        sizes = np.array([0, *(path.stat().st_size for path in self.paths)])
        if (cut := sizes % self.dtype.itemsize).any():
            path = self.paths[np.flatnonzero(cut)[0] - 1]
            raise BadInput(f"{path} is cut short: remove it and build again")
        return np.cumsum(sizes // self.dtype.itemsize)

    def blocks(self, memory: int) -> Iterator[tuple[int, np.ndarray]]:
        """(number of its first row, rows) of blocks of at most so many bytes, none across files."""
        most = max(1, memory // self.dtype.itemsize)
        for path, start in zip(self.paths, self.starts, strict=False):
            with open(path, "rb") as file:
                while len(rows := np.fromfile(file, self.dtype, most)):
                    yield int(start), rows
                    start += len(rows)

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of these numbers, which ascend, so that files are read from front to back."""
        rows = np.empty(len(numbers), self.dtype)
        owners = np.searchsorted(self.starts, numbers, side="right") - 1
        bounds = np.flatnonzero(np.diff(owners, prepend=-1, append=-1))
        for begin, end in pairwise(bounds):
            owner = owners[begin]
            own = np.memmap(self.paths[owner], self.dtype, "r")
            rows[begin:end] = own[numbers[begin:end] - self.starts[owner]]
        return rows


def split(blocks: Iterator[np.ndarray], starts: Sequence[int]) -> Iterator[np.ndarray]:
    """Rows in order of their `key`, the number of a row of a table, in one array for each of its
    files.

    Args:
      blocks: of at least no rows.
      starts: as those of a Table.
    """
    rest = next(blocks)
    for end in starts[1:]:
        own = []
        while True:
            cut = np.searchsorted(rest["key"], end)
            own.append(rest[:cut])
            rest = rest[cut:]
            if len(rest) or (following := next(blocks, None)) is None:
                break
            rest = following
        yield np.concatenate(own)
