"""Files of lines, read with their numbers; and files written whole, plain or gzipped."""

import contextlib
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.reading import COMPRESSED, open_binary

_UNWRITTEN = tuple(suffix for suffix in COMPRESSED if suffix != ".gz")


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file, compressed or not, that are not blank, with their numbers from 1.

    Raises:
      BadInput: it is missing, unreadable or damaged.
    """
    with open_binary(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def check_output(out: Path) -> None:
    """Raises BadInput where `output` could write no file of that name, or none as it says."""
    if out.is_dir():
        raise BadInput(f"{out} is a folder: name a file")
    if out.suffix in _UNWRITTEN:
        raise BadInput(f"{out}: of compressed files only .gz are written")


@contextlib.contextmanager
def output(out: Path) -> Iterator[IO[bytes]]:
    """Opens a file for bytes, which it gzips where the name ends in .gz, and which becomes `out`
    when the block ends without an exception. The same bytes in make the same file."""
    with atomic_file(out) as file:
        if out.suffix != ".gz":
            yield file
            return
        # Without name and time.
        with gzip.GzipFile(
            filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0
        ) as packed:
            yield packed
