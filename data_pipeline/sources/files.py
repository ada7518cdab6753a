"""Reading corpus files, plain or gzipped, with damage reported by the file's name."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from biomatrix_jax.errors import BadInput


@contextlib.contextmanager
def open_binary(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a file for reading, decompressing where its name ends in .gz.

    Raises:
      BadInput: the file is missing or unreadable, or (while it is read) its gzip data are damaged.
    """
    path = Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(
            f"{path}: damaged or truncated gzip data ({error}): fetch it again"
        ) from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None


def read_lines(path: str | Path) -> Iterator[bytes]:
    """The lines of a file, without their ends."""
    with open_binary(path) as file:
        for line in file:
            yield line.rstrip(b"\r\n")


def stem(path: str | Path) -> str:
    """The file's name up to its first dot: `dir/1abc.cif.gz` -> `1abc`."""
    return Path(path).name.split(".", 1)[0]
