"""ArrayRecord shards of packed tokens, zstd, one record to a chunk.

Both tiers of a data directory are such files, of the records that `biomatrix_jax.data.rows` lays
out: *documents*, where a record holds whole documents of about 64 k tokens together, and *rows*,
where it holds one row of a training batch.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from biomatrix_jax.data.manifest import SHARDS, DocumentsEntry, ShardEntry
from biomatrix_jax.data.rows import Row, decode_row, encode_row
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import sha256
from biomatrix_jax.tokens import MODALITIES

ROWS_PER_SHARD = 4096

# One record to a chunk: a row is read by its number without its neighbours. Level 3 is zstd's own
# default; higher ones save a few percent of the bytes for several times the time.
_OPTIONS = "group_size:1,zstd:3"


class Written(NamedTuple):
    """What a shard holds, and its file."""

    records: int
    documents: int
    tokens: dict[str, int]  # by modality
    bytes: int
    sha256: str


def write_shard(records: Iterable[Row], path: Path) -> Written | None:
    """Writes a shard; None, and no file, where there is no record.

    The file gets its name when it is complete and on the disk; until then it is called
    `<name>.incomplete`. The same records give the same bytes.

    Raises:
      OSError: the disk is full, say; names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    incomplete = Path(f"{path}.incomplete")
    count = documents = 0
    tokens = np.zeros(len(MODALITIES), np.int64)
    try:
        with _writer(incomplete) as write:
            for row in records:
                write(encode_row(row))
                used = int(row.lengths.sum())
                tokens += np.bincount(row.modality[:used], minlength=len(MODALITIES))
                documents += len(row.lengths)
                count += 1
    except BaseException:
        incomplete.unlink(missing_ok=True)
        raise
    if not count:
        incomplete.unlink()
        return None
    size, digest = incomplete.stat().st_size, sha256(incomplete)
    os.replace(incomplete, path)
    by_modality = dict(zip(MODALITIES, tokens.tolist(), strict=True))
    return Written(count, documents, by_modality, size, digest)


@contextlib.contextmanager
def _writer(path: Path) -> Iterator[Callable[[bytes], None]]:
    """What writes a record to a file, which is on the disk at the end."""
    from array_record.python.array_record_module import ArrayRecordWriter

    def told(call: Callable, *arguments) -> None:
        try:
            call(*arguments)
        except RuntimeError as error:  # all that the library says of a full disk
            raise OSError(errno.EIO, " ".join(str(error).split()), str(path)) from None

    writer = ArrayRecordWriter(str(path), _OPTIONS)
    try:
        yield partial(told, writer.write)
    except BaseException:
        with contextlib.suppress(RuntimeError):  # where it could not write it cannot close
            writer.close()
        raise
    told(writer.close)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_shards(
    rows: Iterable[Row], directory: Path, source: str, rows_per_shard: int = ROWS_PER_SHARD
) -> list[ShardEntry]:
    """Writes rows in their order into as many shards as they need, named as `row_shard` says."""
    rows, shards = iter(rows), []
    while True:
        name = row_shard(source, len(shards))
        written = write_shard(islice(rows, rows_per_shard), directory / name)
        if written is None:
            return shards
        shards.append(entry(name, source, written))


def row_shard(source: str, number: int) -> str:
    """The path of a source's shard of rows within a data directory."""
    return f"{SHARDS}/{source}-{number:05}.arrayrecord"


def entry(name: str, source: str, written: Written) -> ShardEntry:
    """The manifest's line about a shard of rows."""
    return ShardEntry(
        path=name,
        source=source,
        rows=written.records,
        documents=written.documents,
        tokens=written.tokens,
        bytes=written.bytes,
        sha256=written.sha256,
    )


def is_whole(directory: Path, listed: ShardEntry | DocumentsEntry) -> bool:
    """Whether a shard is there, as long as it should be."""
    path = directory / listed.path
    return path.is_file() and path.stat().st_size == listed.bytes


def read_shard(path: Path, first: int = 0, last: int | None = None) -> Iterator[Row]:
    """The records `first` to `last` (not included; None: to the end) of a shard of documents.

    Raises:
      BadInput: the file or a record is damaged; names both.
    """
    from array_record.python.array_record_module import ArrayRecordReader

    number, at_once = first, _AT_ONCE
    try:
        reader = ArrayRecordReader(str(path))
        stop = reader.num_records() if last is None else last
        while number < stop:
            # Some at a time: one call for each record costs more than decompressing it.
            try:
                records = reader.read(number, min(number + at_once, stop))
            except _DAMAGE:
                if at_once == 1:
                    raise
                at_once = 1  # one of them is damaged: which?
                continue
            for record in records:
                yield decode_row(record)
                number += 1
        reader.close()
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{path}, record {number}: {reason}: build the data again") from None


_AT_ONCE = 16  # records of about 64 k tokens: some MB
_DAMAGE = (RuntimeError, ValueError, IndexError)  # what ArrayRecord raises, and `decode_row`
