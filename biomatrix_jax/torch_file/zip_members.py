"""Where the members of an uncompressed zip archive lie in its file.

An uncompressed member is a run of the file's bytes, so it can be mapped in place. The archive's own
list (APPNOTE.TXT, section 4.3.12) is read by the standard library; what it says is checked against
the file before anything is read by it.
"""

import dataclasses
import io
import os
import struct
import zipfile
import zlib
from pathlib import Path

from biomatrix_jax.errors import BadInput

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # ends with the lengths of a name and of extra fields
_SIGNATURE = b"PK\x03\x04"
_PIECE = 1 << 20
_LONGEST_LIST = 8 << 20  # bytes, of some eighty thousand members
_ENCRYPTED = 1


@dataclasses.dataclass(frozen=True)
class Member:
    """A run of bytes in a file."""

    file: Path
    name: str
    offset: int
    size: int
    crc: int  # 0 where the writer left checksums out

    def read(self) -> bytes:
        with self.file.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    def check_sum(self) -> None:
        """Reads the bytes once; raises BadInput where they are not those that were written."""
        if not self.crc:
            return
        crc, left = 0, self.size
        with self.file.open("rb") as file:
            file.seek(self.offset)
            while left and (piece := file.read(min(left, _PIECE))):
                crc, left = zlib.crc32(piece, crc), left - len(piece)
        if crc != self.crc:
            raise BadInput(f"{self.file}: damaged: the checksum of {self.name} is another")


def find_members(path: str | os.PathLike) -> dict[str, Member]:
    """The members of an archive by name; their bytes are not read.

    Raises:
      BadInput: no such archive, cut short, members that overlap, reach beyond the file or share a
        name, or that are compressed or encrypted.
    """
    path = Path(path)
    try:
        file = _Bounded(path)
    except OSError as error:
        raise BadInput(f"{path}: not readable ({error.strerror})") from None
    try:
        with file, zipfile.ZipFile(file) as archive:
            infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
            members = [_member(path, file, info) for info in infos]
            size = file.seek(0, os.SEEK_END)
    except BadInput:
        raise
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error) as error:
        raise BadInput(f"{path}: no zip archive, or cut short ({error})") from None
    ends = [info.header_offset for info in infos] + [size]
    for member, end in zip(members, ends[1:], strict=True):
        if member.offset + member.size > end:
            raise BadInput(f"{path}: damaged: {member.name} reaches beyond its place")
    named = {member.name: member for member in members}
    if len(named) < len(members):
        raise BadInput(f"{path}: damaged: two members of the archive have one name")
    return named


class _Bounded(io.FileIO):
    """A file for `zipfile`, which reads the list of members at once, however long it is."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _LONGEST_LIST:
            raise ValueError(f"its list of members has {size} bytes; read are {_LONGEST_LIST}")
        return super().read(size)


def _member(path: Path, file: io.FileIO, info: zipfile.ZipInfo) -> Member:
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
        raise BadInput(f"{path}: {info.filename!r} is compressed or encrypted")
    if info.compress_size != info.file_size:
        raise BadInput(f"{path}: damaged: {info.filename!r} has two sizes")
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    signature, name, extra = _LOCAL_HEADER.unpack(header)
    if signature != _SIGNATURE:
        raise BadInput(f"{path}: damaged: {info.filename!r} is not where the archive says")
    offset = info.header_offset + _LOCAL_HEADER.size + name + extra
    return Member(path, info.filename, offset, info.file_size, info.CRC)
