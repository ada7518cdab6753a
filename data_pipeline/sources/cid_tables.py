"""Tables `CID<tab>value` sorted by CID, as in PubChem's Extras, joined to records in one pass.

A CID may have several lines; of the table only those of one CID are in memory.
"""

from collections.abc import Iterator
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import numbered


class CidTable:
    """Looks values up for ascending CIDs; raises BadInput where the table does not ascend."""

    def __init__(self, path: str | Path):
        self._path = path
        self._rows = _rows(path)
        self._next = next(self._rows, None)
        self._cid, self._values = 0, ()

    def values(self, cid: int) -> tuple[bytes, ...]:
        """The values of `cid`, as they stand, in their order; none where it is not in the table.

        Raises:
          BadInput: an earlier call asked for a higher CID; or the table is missing or damaged.
        """
        if cid < self._cid:
            raise BadInput(
                f"CID {cid} comes after CID {self._cid}, but {self._path} can only be joined to "
                "records in ascending order: sort them, or read without it"
            )
        if cid > self._cid:
            while self._next and self._next[0] < cid:
                self._next = next(self._rows, None)
            values = []
            while self._next and self._next[0] == cid:
                values.append(self._next[1])
                self._next = next(self._rows, None)
            self._cid, self._values = cid, tuple(values)
        return self._values

    def close(self) -> None:
        self._rows.close()


def _rows(path: str | Path) -> Iterator[tuple[int, bytes]]:
    last = 0
    for where, line in numbered(path):
        number, tab, value = line.partition(b"\t")
        try:
            cid = int(number)
        except ValueError:
            tab = b""
        if not tab:
            raise BadInput(f"{where}: not a CID, a tab and a value: is this the right table?")
        if cid < last:
            raise BadInput(f"{where}: CID {cid} after {last}: sort the table by CID, as numbers")
        last = cid
        yield cid, value
