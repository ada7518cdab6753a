"""Documents of a data directory -> its shards of packed rows, at first or for another length."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from biomatrix_jax.data.manifest import DocumentsEntry, Manifest, Packing, ShardEntry
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import Vocabulary
from data_pipeline import context, pack
from data_pipeline.pack import Documents
from data_pipeline.shards import (
    ROWS_PER_SHARD,
    entry,
    is_whole,
    read_shard,
    row_shard,
    write_shard,
)
from data_pipeline.tasks import Places, grouped
from data_pipeline.workplace import Crew


@dataclass(frozen=True)
class Stretch:
    """Records `first` to `last` (not included) of a shard of documents."""

    shard: str
    sha256: str
    first: int
    last: int


@dataclass(frozen=True)
class RowsAccount:
    """What became of a RowsTask."""

    fingerprint: str
    cut: int  # documents longer than a row
    shard: ShardEntry


@dataclass(frozen=True)
class RowsTask:
    """Packs stretches of documents of one source into rows."""

    source: str
    number: int
    row_length: int
    stretches: tuple[Stretch, ...]
    end_tokens: tuple[int, ...]  # ids behind which a long document may be cut

    account: ClassVar[type] = RowsAccount

    @property
    def name(self) -> str:
        return f"rows-{self.source}-{self.number:05}"

    @property
    def shard(self) -> str:
        """Its path within the data directory."""
        return row_shard(self.source, self.number)

    def decided_by(self) -> Any:
        return dataclasses.asdict(self)

    def is_there(self, account: RowsAccount, places: Places) -> bool:
        return is_whole(places.data, account.shard)

    def do(self, places: Places, fingerprint: str) -> RowsAccount:
        whole = self.documents(places.documents)
        pieces, cut = pack.cut(whole, self.row_length, np.array(self.end_tokens))
        written = write_shard(pack.pack(pieces, self.row_length), places.data / self.shard)
        assert written, f"{self.name} has documents, and so rows"
        return RowsAccount(fingerprint, cut, entry(self.shard, self.source, written))

    def documents(self, directory: Path) -> Documents:
        """Its documents, in their order. Raises BadInput for a damaged shard."""
        records = [
            record
            for stretch in self.stretches
            for record in read_shard(directory / stretch.shard, stretch.first, stretch.last)
        ]
        tokens, modality, lengths, source = (
            np.concatenate([getattr(record, name) for record in records])
            for name in ("tokens", "modality", "lengths", "source")
        )
        lengths = lengths.astype(np.int64)
        return Documents(tokens, modality, np.cumsum(lengths) - lengths, lengths, source)


def with_rows(crew: Crew, manifest: Manifest, documents: Path, vocabulary: Vocabulary) -> Manifest:
    """A manifest of documents, which `documents` holds, with the rows that come of them."""
    ends = context.end_tokens(vocabulary).tolist()
    todo = [
        task
        for source in manifest.sources
        for task in row_tasks(
            source.name,
            [shard for shard in manifest.documents if shard.source == source.name],
            manifest.row_length,
            ends,
        )
    ]
    accounts = crew.carry_out("rows", todo, documents)
    sources = tuple(
        replace(
            source,
            rows=sum(a.shard.rows for a in accounts if a.shard.source == source.name),
            cut=sum(a.cut for a in accounts if a.shard.source == source.name),
        )
        for source in manifest.sources
    )
    return replace(manifest, sources=sources, shards=tuple(a.shard for a in accounts))


def packing(row_length: int) -> Packing:
    """How rows are planned."""
    return Packing(pack.ALGORITHM, shard_tokens(row_length))


def row_tasks(
    source: str, documents: Sequence[DocumentsEntry], row_length: int, end_tokens: Sequence[int]
) -> list[RowsTask]:
    """The tasks that pack all documents of a source, in their order.

    Raises:
      BadInput: documents that lie in one record are so long that their rows would not fit a shard.
    """
    most = shard_tokens(row_length)
    records = [
        ((shard, number), tokens)
        for shard in documents
        for number, tokens in enumerate(shard.record_tokens)
    ]
    if longest := max((tokens for _, tokens in records if tokens > most), default=0):
        raise BadInput(
            f"source {source}: a record of documents has {longest:,} tokens, which may not fit a "
            f"shard of {ROWS_PER_SHARD} rows of {row_length}: make rows of at least "
            f"{-(-longest // _half_a_shard())}"
        )
    return [
        RowsTask(source, number, row_length, tuple(_stretches(group)), tuple(end_tokens))
        for number, group in enumerate(grouped(records, most, fit=True))
    ]


def shard_tokens(row_length: int) -> int:
    """How many tokens of documents share a shard of rows, at most."""
    return _half_a_shard() * row_length


def _half_a_shard() -> int:
    # Best fit leaves at most one row half empty, so that these never take more rows than allowed.
    return ROWS_PER_SHARD // 2 - 1


def _stretches(records: Sequence[tuple[DocumentsEntry, int]]) -> Iterator[Stretch]:
    """Numbered records of shards, in order, as stretches."""
    start = 0
    for place, (shard, number) in enumerate(records):
        last = place + 1 == len(records) or records[place + 1][0] is not shard
        if last:
            yield Stretch(shard.path, shard.sha256, records[start][1], number + 1)
            start = place + 1
