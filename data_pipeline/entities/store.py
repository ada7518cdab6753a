"""Texts by key: an SQLite file where they are too many for memory, the same in memory otherwise."""

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from biomatrix_jax.errors import BadInput

SUFFIX = ".sqlite"
_TABLE = "CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"


class Store:
    """Read-only; some 100,000 look-ups a second, from memory or from a file."""

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection

    @classmethod
    def open(cls, path: str | Path) -> "Store":
        """Raises BadInput where `path` is no file that `write` made."""
        if not Path(path).is_file():
            raise BadInput(f"{path} does not exist")
        place = f"file:{quote(os.path.abspath(path))}?mode=ro&immutable=1"
        store = cls(sqlite3.connect(place, uri=True))
        try:
            store.get("")
        except sqlite3.DatabaseError as error:
            raise BadInput(f"{path}: not a table of entries ({error}): make it again") from None
        return store

    @classmethod
    def in_memory(cls, entries: Iterable[tuple[str, str]], keep_first: bool = False) -> "Store":
        """Takes and raises what `write` does."""
        connection = sqlite3.connect(":memory:")
        _fill(connection, entries, keep_first)
        return cls(connection)

    def get(self, key: str) -> str | None:
        row = self._connection.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return row and row[0]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """All entries by ascending key."""
        return iter(self._connection.execute("SELECT key, value FROM entries ORDER BY key"))


def write(path: str | Path, entries: Iterable[tuple[str, str]], keep_first: bool = False) -> None:
    """Makes the file that `Store.open` reads; it appears when it is whole.

    Args:
      keep_first: of the entries with the same key the first counts.

    Raises:
      BadInput: a key is there twice, unless `keep_first`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.incomplete-", dir=path.parent) as place:
        made = Path(place) / path.name
        with closing(sqlite3.connect(made)) as connection:
            _fill(connection, entries, keep_first)
        os.replace(made, path)


def _fill(
    connection: sqlite3.Connection, entries: Iterable[tuple[str, str]], keep_first: bool
) -> None:
    insert = f"INSERT {'OR IGNORE ' if keep_first else ''}INTO entries VALUES (?, ?)"
    with connection:
        connection.execute(_TABLE)
        for entry in entries:
            try:
                connection.execute(insert, entry)
            except sqlite3.IntegrityError:
                raise BadInput(f"{entry[0]} is there twice: keep one") from None
