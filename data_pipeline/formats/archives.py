"""Archives of many files: tar, plain or compressed, and zip; read from front to back."""

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary

_BLOCK = 512  # bytes; a tar archive ends in blocks of zeros
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    UnicodeDecodeError,  # of a name
)


def open_members(path: str | Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, BinaryIO]]:
    """Name (with its folders) of each file in an archive that ends in one of `suffixes`, opened.

    It can be read until the next one is asked for, front to back, whatever its size.

    Raises:
      BadInput: the archive is missing, or (here or while a file is read) damaged or cut short.
    """
    with open_binary(path) as file:
        is_zip = file.read(4).startswith(b"PK")
    for name, content in (_of_zip if is_zip else _of_tar)(path, suffixes):
        yield name, io.BufferedReader(_Guarded(content, path))


def members(path: str | Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Name (without folders) and content of each file that ends in one of `suffixes`.

    Raises:
      BadInput: the archive is missing, damaged or cut short.
    """
    for name, file in open_members(path, suffixes):
        yield PurePosixPath(name).name, file.read()


def _of_tar(path: str | Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, BinaryIO]]:
    with open_binary(path) as file:
        whole = _Ending(file)
        try:
            with tarfile.open(fileobj=whole, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and member.name.endswith(suffixes):
                        yield member.name, archive.extractfile(member)
                    archive.members.clear()  # else it keeps all, 700 bytes each of a million
            if whole.ending.strip(b"\0"):  # tarfile takes a cut between two files for the end
                raise tarfile.ReadError("its end is missing")
        except tarfile.TarError as error:
            raise _damaged(path, error) from None


def _of_zip(path: str | Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, BinaryIO]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.endswith(suffixes) and not info.is_dir():  # a name may be empty
                    with archive.open(info) as content:
                        yield info.filename, content
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    except (NotImplementedError, RuntimeError) as error:  # unknown compression, a password
        raise BadInput(f"{path}: zip archive that cannot be read ({error})") from None


class _Ending:
    """A file that remembers the last block read from it."""

    def __init__(self, file: BinaryIO):
        self.file, self.ending = file, b"\1"

    def read(self, size: int) -> bytes:
        content = self.file.read(size)
        self.ending = (self.ending + content)[-_BLOCK:]
        return content


class _Guarded(io.RawIOBase):
    """A file of an archive; damage in it is damage of the archive."""

    def __init__(self, file: BinaryIO, archive: str | Path):
        self.file, self.archive = file, archive

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        try:
            content = self.file.read(len(buffer))
        except _DAMAGE as error:
            raise _damaged(self.archive, error) from None
        buffer[: len(content)] = content
        return len(content)


def _damaged(path: str | Path, error: Exception) -> BadInput:
    return BadInput(f"{path}: damaged or truncated archive ({error}): fetch it again")
