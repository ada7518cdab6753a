"""Tables `CID<tab>value` sorted by CID, as in PubChem's Extras, joined to records in one pass.

A CID may have several lines. Of the table one block is in memory, and blocks that end before the
CID that is wanted are not split into lines: what comes before a file of records costs little.
"""

from collections.abc import Iterator
from pathlib import Path

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary
from data_pipeline.sources.columns import whole

BLOCK = 1 << 20  # bytes


class CidTable:
    """Looks values up for ascending CIDs."""

    def __init__(self, path: str | Path):
        self._path = path
        self._blocks = _blocks(path)
        self._lines: Iterator[bytes] = iter(())  # what is left of the block
        self._last = 0  # CID on the block's last line
        self._next: tuple[int, bytes] | None = None  # a row that was read and not wanted yet
        self._cid, self._values = 0, ()  # what was asked for last

    def values(self, cid: int) -> tuple[bytes, ...]:
        """The values of `cid`, as they stand, in their order; none where it is not in the table.

        Raises:
          BadInput: an earlier call asked for a higher CID; or the table is missing or damaged, of
            another form, or not sorted.
        """
        if cid < self._cid:
            raise BadInput(
                f"CID {cid} comes after CID {self._cid}, but {self._path} can only be joined to "
                "records in ascending order: sort them, or read without it"
            )
        if cid > self._cid:
            self._cid, self._values = cid, tuple(self._of(cid))
        return self._values

    def close(self) -> None:
        self._blocks.close()

    def _of(self, cid: int) -> Iterator[bytes]:
        while row := self._next or self._row(cid):
            if row[0] > cid:
                self._next = row
                return
            self._next = None
            if row[0] == cid:
                yield row[1]

    def _row(self, cid: int) -> tuple[int, bytes] | None:
        """The next row, perhaps the first of a later block that does not end before `cid`."""
        while (line := next(self._lines, None)) is None or self._last < cid:
            block = next(self._blocks, None)
            if block is None:
                return None
            end, _ = self._parsed(block[block.rfind(b"\n") + 1 :])
            if end < self._last:
                raise self._unsorted(end, self._last)
            self._last, self._lines = end, iter(block.split(b"\n"))
        row = self._parsed(line)
        if row[0] > self._last:
            raise self._unsorted(self._last, row[0])
        return row

    def _parsed(self, line: bytes) -> tuple[int, bytes]:
        number, tab, value = line.partition(b"\t")
        cid = whole(number.decode("latin-1"))
        if not tab or cid is None:
            raise BadInput(
                f"{self._path}: {line[:40]!r} is not a CID, a tab and a value: is this the table?"
            )
        return cid, value.rstrip(b"\r")

    def _unsorted(self, cid: int, last: int) -> BadInput:
        return BadInput(f"{self._path}: CID {cid} after {last}: sort it by CID, as numbers")


def _blocks(path: str | Path) -> Iterator[bytes]:
    """The file in pieces of whole lines, without the last line's end."""
    with open_binary(path) as file:
        while block := file.read(BLOCK):
            if block := (block + file.readline()).rstrip(b"\r\n"):
                yield block
