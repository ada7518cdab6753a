"""Finding input files and opening them, plain or gzipped; damage is reported by the file's name."""

import contextlib
import glob
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from biomatrix_jax.errors import BadInput

_GZIP = b"\x1f\x8b"


def within(where: str | Path) -> list[Path]:
    """What is in a folder or fits a pattern (`*`, `?`, `**`), sorted.

    Raises:
      BadInput: it is neither.
    """
    path = Path(where)
    if path.is_dir():
        return sorted(path.iterdir())
    if glob.has_magic(str(where)):
        return sorted(map(Path, glob.glob(str(where), recursive=True)))
    raise BadInput(f"{where}: no such file or folder")


@contextlib.contextmanager
def open_binary(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a file for reading, decompressing where its name ends in .gz or its content is gzip's.

    Raises:
      BadInput: the file is missing or unreadable, or (while it is read) its gzip data are damaged.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            if path.suffix == ".gz" or file.peek(2)[:2] == _GZIP:
                with gzip.open(file) as content:
                    yield content
            else:
                yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(
            f"{path}: damaged or truncated gzip data ({error}): fetch it again"
        ) from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None
