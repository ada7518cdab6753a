"""Finding input files and opening them, plain or compressed; damage is reported by file name."""

import bz2
import contextlib
import glob
import gzip
import lzma
import zlib
from collections.abc import Iterator
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import IO, BinaryIO

from biomatrix_jax.errors import BadInput

# How each kind of compression begins, and how its files are called.
_BEGINS = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bzip2": b"BZh", "xz": b"\xfd7zXZ"}
_SUFFIXES = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}
COMPRESSED = tuple(_SUFFIXES)


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
def open_binary(path: str | Path, content: bytes | None = None) -> Iterator[BinaryIO]:
    """Opens a file for reading, decompressing where its name or its first bytes say so.

    Known are gzip (.gz), Zstandard (.zst), bzip2 (.bz2) and xz (.xz).

    Args:
      content: of the file, where it is no file of its own but a member of an archive.

    Raises:
      BadInput: the file is missing or unreadable, or (while it is read) what is compressed in it
        is damaged or cut short.
    """
    path = Path(path)
    kind = None
    try:
        with open(path, "rb") if content is None else BufferedReader(BytesIO(content)) as file:
            kind = _SUFFIXES.get(path.suffix) or _kind_of(file.peek(8))
            with _decompressed(file, kind) as content:
                yield content
    except BadInput:
        raise
    except OSError as error:
        if kind and error.strerror is None:  # gzip and bzip2 say so of their data
            raise _damaged(path, kind, error) from None
        raise BadInput(f"{path}: {error.strerror or error}") from None
    except Exception as error:
        if kind and isinstance(error, _damage()):
            raise _damaged(path, kind, error) from None
        raise


def _kind_of(begin: bytes) -> str | None:
    return next((kind for kind, first in _BEGINS.items() if begin.startswith(first)), None)


def _decompressed(file: BinaryIO, kind: str | None) -> contextlib.AbstractContextManager[IO[bytes]]:
    if kind == "gzip":
        return gzip.open(file)
    if kind == "bzip2":
        return bz2.open(file)
    if kind == "xz":
        return lzma.open(file)
    if kind == "zstd":
        return zstd().open(file)
    return contextlib.nullcontext(file)


def zstd():
    """The module for Zstandard: Python's own from 3.14 on."""
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd


def _damage() -> tuple[type[Exception], ...]:
    """What decompressing raises for bad data."""
    return EOFError, zlib.error, lzma.LZMAError, zstd().ZstdError


def _damaged(path: Path, kind: str, error: Exception) -> BadInput:
    return BadInput(f"{path}: damaged or truncated {kind} data ({error}): fetch it again")
