"""Text files of entries with a separator between them, an entry at a time."""

from collections.abc import Iterator
from pathlib import Path

from biomatrix_jax.reading import open_binary

_BYTES = 2**20  # read at once


def blocks(path: str | Path, separator: bytes) -> Iterator[bytes]:
    """What stands before, between and after the separators, whatever its size; raises as
    `open_binary`."""
    rest = b""
    with open_binary(path) as file:
        # As much again as there is of an unfinished entry: else a long one would be copied and
        # searched once for each read.
        while read := file.read(max(_BYTES, len(rest))):
            *whole, rest = (rest + read).split(separator)
            yield from whole
    yield rest
