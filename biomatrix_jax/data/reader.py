"""Packed rows by number, out of the shards of a data directory."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.data.rows import Row, decode_row
from biomatrix_jax.errors import BadInput


class RowSource:
    """The packed rows of one source by number, across its shards; several threads may read.

    Shards are opened when they are first read from. Indexing raises BadInput for a damaged record
    and for a token id outside the vocabulary or a document of another source, and names the shard
    and the row in it.
    """

    def __init__(self, directory: str | os.PathLike, manifest: Manifest, source: str):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        shards = [shard for shard in manifest.shards if shard.source == source]
        self._paths = [Path(directory) / shard.path for shard in shards]
        self._ends = np.cumsum([shard.rows for shard in shards])
        # "[first:last]" spares opening every shard only to count its records.
        self._records = ArrayRecordDataSource(
            [f"{path}[0:{s.rows}]" for path, s in zip(self._paths, shards, strict=True)]
        )
        self._source = [entry.name for entry in manifest.sources].index(source)
        self._row_length = manifest.row_length
        self._vocabulary_size = manifest.vocabulary.size

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Row:
        try:
            row = decode_row(self._records[index], self._row_length)
        except (RuntimeError, BadInput) as error:  # array_record reports damage as RuntimeError
            raise BadInput(f"{self._where(index)}: {' '.join(str(error).split())}") from None
        largest = row.tokens.view(np.uint32).max(initial=0)  # negative ids become large ones
        if largest >= self._vocabulary_size:
            raise BadInput(
                f"{self._where(index)}: a token id outside the vocabulary of "
                f"{self._vocabulary_size}"
            )
        if (row.source != self._source).any():
            raise BadInput(f"{self._where(index)}: a document of another source")
        return row

    def __iter__(self) -> Iterator[Row]:
        return map(self.__getitem__, range(len(self)))

    def _where(self, index: int) -> str:
        shard = int(np.searchsorted(self._ends, index, side="right"))
        first = self._ends[shard - 1] if shard else 0
        return f"{self._paths[shard]}, row {index - first}"
