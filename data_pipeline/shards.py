"""Rows -> ArrayRecord shards of at most 4,096 rows, zstd, one record for each row."""

import os
from collections.abc import Iterable
from pathlib import Path

from biomatrix_jax.data.manifest import SHARDS, ShardEntry
from biomatrix_jax.data.rows import Row, encode_row
from biomatrix_jax.files import sha256

ROWS_PER_SHARD = 4096

# One record to a chunk: a row is read by its number without its neighbours. Level 3 is zstd's own
# default; higher ones save a few percent of the bytes for several times the time.
_OPTIONS = "group_size:1,zstd:3"


def write_shards(
    rows: Iterable[Row], directory: Path, source: str, rows_per_shard: int = ROWS_PER_SHARD
) -> list[ShardEntry]:
    """Writes a source's rows in their order, into as many shards as they need.

    A shard gets its name when it is complete; until then it is called `<name>.incomplete`. The same
    rows give the same bytes.

    Args:
      directory: the data directory; shards go to its `shards/`.

    Returns:
      The manifest's entries of what was written.
    """
    (directory / SHARDS).mkdir(parents=True, exist_ok=True)
    shards: list[ShardEntry] = []
    writer = None
    for number, row in enumerate(rows):
        if number % rows_per_shard == 0:
            if writer:
                shards.append(writer.close())
            name = f"{SHARDS}/{source}-{len(shards):05}.arrayrecord"
            writer = _ShardWriter(directory, name, source)
        writer.write(encode_row(row))
    if writer:
        shards.append(writer.close())
    return shards


class _ShardWriter:
    def __init__(self, directory: Path, name: str, source: str):
        from array_record.python.array_record_module import ArrayRecordWriter

        self._path, self._name, self._source, self._rows = directory / name, name, source, 0
        self._incomplete = Path(f"{self._path}.incomplete")
        self._writer = ArrayRecordWriter(str(self._incomplete), _OPTIONS)

    def write(self, record: bytes) -> None:
        self._writer.write(record)
        self._rows += 1

    def close(self) -> ShardEntry:
        self._writer.close()
        size, digest = self._incomplete.stat().st_size, sha256(self._incomplete)
        os.replace(self._incomplete, self._path)
        return ShardEntry(self._name, self._source, self._rows, size, digest)
