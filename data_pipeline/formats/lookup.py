"""Large tables looked up by key without holding them in memory: an SQLite file beside each.

It is built once, from front to back, and sorted by SQLite on disk; later runs and other processes
read it. Its name has the size and the time of the table, so that a table that changed gets another.
Building twice at once is a waste and no harm: each build appears whole, by renaming.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from biomatrix_jax.errors import BadInput


class Lookup:
    """Rows by key, read only."""

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection

    def get(self, key: str) -> tuple[str, ...] | None:
        """The row of a key, without the key; None where there is none. Of several, the first."""
        found = self._connection.execute(
            "SELECT * FROM entries WHERE key = ? ORDER BY rowid LIMIT 1", (key,)
        ).fetchone()
        return found and found[1:]


def build(
    table: str | Path,
    folder: str | Path | None,
    entries: Callable[[str | Path], Iterable[tuple[str, ...]]],
) -> Path:
    """Makes the index of a table where it is missing, and says where it is.

    Args:
      folder: where the index goes; None is beside the table. It takes about as much room as the
        table uncompressed, and more than half of that again while it is built.
      entries: key and values of each row of the table, as many values in each.

    Raises:
      BadInput: the table is missing or damaged, or has no rows, or the index cannot be written.
    """
    table = Path(table)
    try:
        state = table.stat()
    except OSError as error:
        raise BadInput(f"{table}: {error.strerror}") from None
    folder = Path(folder or table.parent)
    index = folder / f"{table.name}.{state.st_size}-{state.st_mtime_ns}.sqlite"
    if index.is_file():
        return index
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{index.name}.incomplete-", dir=folder) as made:
            _write(Path(made, index.name), entries(table), table)
            os.replace(Path(made, index.name), index)
    except (OSError, sqlite3.Error) as error:
        raise BadInput(f"{index}: cannot be written ({error}): choose another folder") from None
    return index


@contextmanager
def opened(index: Path) -> Iterator[Lookup]:
    """The index at a path that `build` gave."""
    connection = sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        yield Lookup(connection)
    finally:
        connection.close()


def _write(path: Path, entries: Iterable[tuple[str, ...]], table: Path) -> None:
    entries = iter(entries)
    first = next(entries, None)
    if first is None:
        raise BadInput(f"{table}: nothing to look up in it")
    connection = sqlite3.connect(path)
    try:
        # A file that is not finished is thrown away, so nothing in it needs to be undone.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        columns = ", ".join(["key", *(f"value{i}" for i in range(1, len(first)))])
        connection.execute(f"CREATE TABLE entries ({columns})")
        insert = f"INSERT INTO entries VALUES ({', '.join('?' * len(first))})"
        connection.executemany(insert, chain([first], entries))
        # Afterwards, because rows that come in any order would each rewrite a page of the index.
        connection.execute("CREATE INDEX by_key ON entries (key)")
        connection.commit()
    finally:
        connection.close()
