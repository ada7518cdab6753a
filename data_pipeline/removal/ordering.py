"""Sorting and grouping more rows than memory holds.

Rows are sorted a memoryful at a time, and these runs are merged (Knuth, The Art of Computer
Programming, volume 3, section 5.4): all of a file is read and written from front to back, and no
key is too frequent, since not even the rows of one key have to be in memory together.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

_COPIES = 4  # of the rows at hand that sorting makes, its indices counted in


class Sorter:
    """Takes rows and gives them back in the order of their field `key`; among equals, in the order
    in which they came.

    Args:
      path: of a file for what memory does not hold; it is gone when all rows were given back.
      dtype: of the rows.
      memory: how many bytes to use for taking rows, about.
    """

    def __init__(self, path: Path, dtype: np.dtype, memory: int):
        self._path = path
        self._dtype = np.dtype(dtype)
        self._most = self._rows(memory)
        self._held: list[np.ndarray] = []
        self._held_rows = 0
        self._runs: list[int] = []  # rows of each one in the file

    def add(self, **fields: np.ndarray) -> None:
        """Takes rows, given by their fields."""
        rows = np.empty(len(fields["key"]), self._dtype)
        for name, values in fields.items():
            rows[name] = values
        while len(rows):
            room = self._most - self._held_rows
            self._held.append(rows[:room])
            self._held_rows += len(rows[:room])
            rows = rows[room:]
            if self._held_rows == self._most:
                self._put_down()

    def blocks(self, memory: int) -> Iterator[np.ndarray]:
        """All rows in order, at least one block; they can be had once.

        Args:
          memory: how many bytes to use for giving rows back, about.
        """
        if not self._runs:
            yield self._held_in_order()
            return
        self._put_down()
        yield from self._merged(self._rows(memory) // len(self._runs))
        self._path.unlink()

    def _rows(self, memory: int) -> int:
        return max(1, memory // (_COPIES * self._dtype.itemsize))

    def _held_in_order(self) -> np.ndarray:
        rows = np.concatenate([np.empty(0, self._dtype), *self._held])
        self._held, self._held_rows = [], 0
        return _in_order(rows)

    def _put_down(self) -> None:
        with open(self._path, "ab" if self._runs else "wb") as file:
            self._runs.append(self._held_rows)
            self._held_in_order().tofile(file)

    def _merged(self, most: int) -> Iterator[np.ndarray]:
        """Has so many rows of each run in memory, and at least one."""
        size = self._dtype.itemsize
        ends = np.cumsum(self._runs)
        at = ends - self._runs  # the next row to read of each run
        heads = [np.empty(0, self._dtype) for _ in ends]  # what was read and not given back
        with open(self._path, "rb") as file:
            while True:
                for run, head in enumerate(heads):
                    count = min(max(1, most) - len(head), ends[run] - at[run])
                    if count > 0:
                        file.seek(at[run] * size)
                        heads[run] = np.concatenate(
                            [head, np.fromfile(file, self._dtype, int(count))]
                        )
                        at[run] += count
                # What comes behind the last row at hand of a run that goes on has to wait; of
                # several that end with one key, for the first of them.
                going_on = [run for run in range(len(ends)) if at[run] < ends[run]]
                if not going_on:
                    yield _in_order(np.concatenate(heads))
                    return
                first = min(going_on, key=lambda run: heads[run]["key"][-1])
                last = heads[first]["key"][-1]
                taken = []
                for run, head in enumerate(heads):
                    side = "right" if run <= first else "left"
                    cut = np.searchsorted(head["key"], last, side=side)
                    taken.append(head[:cut])
                    heads[run] = head[cut:]
                yield _in_order(np.concatenate(taken))


def followers(blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
    """(value, that of the first with the same key, that of the one before) of all rows but the
    first of each key.

    Args:
      blocks: of rows with `key` and `value`, in the order of their keys.
    """
    known = None  # the first and the last row so far of the last key
    for block in blocks:
        rows = block if known is None else np.concatenate([known, block])
        keys, values = rows["key"], rows["value"]
        same = np.concatenate([[False], keys[1:] == keys[:-1]])
        begin = np.maximum.accumulate(np.where(same, 0, np.arange(len(rows))))
        same[: len(rows) - len(block)] = False
        at = np.flatnonzero(same)
        yield values[at], values[begin[at]], values[at - 1]
        if len(rows):
            known = rows[np.unique([begin[-1], len(rows) - 1])]


def _in_order(rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(rows["key"], kind="stable")]
