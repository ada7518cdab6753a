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
        for file, part in by_file(self.starts, numbers):
            own = np.memmap(self.paths[file], self.dtype, "r")
            rows[part] = own[numbers[part] - self.starts[file]]
        return rows


def owners(starts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The file that each row is in, counted from 0.

    Args:
      starts: as those of a Table.
    """
    return np.searchsorted(starts, numbers, side="right") - 1


def by_file(starts: np.ndarray, numbers: np.ndarray) -> Iterator[tuple[int, slice]]:
    """(a file, where in `numbers` its rows are) of numbers that ascend; no file without rows.

    Args:
      starts: as those of a Table.
    """
    files = owners(starts, numbers)
    bounds = np.flatnonzero(np.diff(files, prepend=-1, append=-1))
    for begin, end in pairwise(bounds.tolist()):
        yield int(files[begin]), slice(begin, end)
