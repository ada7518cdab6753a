"""Stretches of documents -> a shard of packed rows."""

from pathlib import Path

import numpy as np

from data_pipeline import pack
from data_pipeline.pack import Documents
from data_pipeline.shards import entry, read_shard, write_shard
from data_pipeline.tasks import RowsAccount, RowsTask


def make_rows(task: RowsTask, documents: Path, directory: Path, fingerprint: str) -> RowsAccount:
    """Does a task: packs its documents into a shard.

    Args:
      documents: the data directory that holds them; `directory` gets the rows.

    Raises:
      BadInput: a shard of documents is damaged.
    """
    whole = load(task, documents)
    pieces, cut = pack.cut(whole, task.row_length, np.array(task.end_tokens))
    written = write_shard(pack.pack(pieces, task.row_length), directory / task.shard)
    assert written, f"{task.name} has documents, and so rows"
    return RowsAccount(fingerprint, cut, entry(task.shard, task.source, written))


def load(task: RowsTask, directory: Path) -> Documents:
    """The documents of a task, in their order."""
    records = [
        record
        for stretch in task.stretches
        for record in read_shard(directory / stretch.shard, stretch.first, stretch.last)
    ]
    tokens, modality, lengths, source = (
        np.concatenate([getattr(record, name) for record in records])
        for name in ("tokens", "modality", "lengths", "source")
    )
    lengths = lengths.astype(np.int64)
    return Documents(tokens, modality, np.cumsum(lengths) - lengths, lengths, source)
