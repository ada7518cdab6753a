"""Tokens per second of rows made from documents, beside the plainest script for the same job.

    python benchmarks/repack.py [--tokens N] [--row-length N] [--json FILE]

Documents are made up, with lengths spread like those of molecules, abstracts and proteins. The
peer, `first-fit in Python`, reads the same shard, puts each document into the first of the last 64
open rows that has room, and writes the same records; its rows are fuller the more rows it looks at,
and slower. The rate that counts is tokens per second of processor time; medians of rounds that
alternate between the two.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import machine
import numpy as np

from biomatrix_jax.data.manifest import DocumentsEntry
from biomatrix_jax.data.rows import Row
from data_pipeline.documents import gathered
from data_pipeline.rows import row_tasks
from data_pipeline.shards import read_shard, write_shard
from data_pipeline.tasks import Places

OURS, PEER = "biomatrix-jax", "first fit over 64 open rows"
OPEN = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=16_000_000)
    parser.add_argument("--row-length", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        documents = make_documents(directory, arguments.tokens)
        ways = {OURS: ours, PEER: first_fit}
        rounds = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                started = time.process_time()
                fill = way(directory, documents, arguments.row_length)
                spent = time.process_time() - started
                rounds[name].append((sum(documents.record_tokens) / spent, fill))
    results = {
        name: {
            "tokens_per_core_second": statistics.median(rate for rate, _ in found),
            "lowest": min(rate for rate, _ in found),
            "highest": max(rate for rate, _ in found),
            "fill": found[0][1],
        }
        for name, found in rounds.items()
    }
    for name, result in results.items():
        print(f"{name:30}{result['tokens_per_core_second']:14,.0f} tokens/s/core, ", end="")
        print(f"{result['fill']:.2%} filled")
    if arguments.json:
        settings = {"tokens": arguments.tokens, "row_length": arguments.row_length}
        content = {
            "machine": machine.describe(("numpy", "array-record")),
            "settings": settings,
            "results": results,
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


def make_documents(directory: Path, tokens: int) -> DocumentsEntry:
    """A shard of documents of so many tokens, about."""
    random = np.random.default_rng(0)
    kinds = (
        (random.integers(20, 120, tokens // 280), 1),  # molecules
        (random.lognormal(5.6, 0.4, tokens // 1200).astype(int), 0),  # abstracts
        (random.lognormal(5.9, 0.7, tokens // 1600).astype(int), 4),  # proteins
    )
    documents = [(int(n), kind) for lengths, kind in kinds for n in lengths.clip(2, 4000)]
    random.shuffle(documents)
    made = (
        ((random.zipf(1.3, n) % 168_020).astype(np.int32), np.full(n, kind, np.uint8))
        for n, kind in documents
    )
    sizes: list[int] = []
    name = "documents/made-up-00000.arrayrecord"
    written = write_shard(gathered(made, 0, sizes), directory / name)
    return DocumentsEntry(
        name, "made-up", written.records, tuple(sizes), written.bytes, written.sha256
    )


def ours(directory: Path, documents: DocumentsEntry, row_length: int) -> float:
    places = Places(directory, directory, directory)
    tasks = row_tasks("made-up", [documents], row_length, [7])
    rows = sum(task.do(places, "").shard.rows for task in tasks)
    return sum(documents.record_tokens) / (rows * row_length)


def first_fit(directory: Path, documents: DocumentsEntry, row_length: int) -> float:
    written = write_shard(
        _first_fit(directory / documents.path, row_length), directory / "peer.arrayrecord"
    )
    return sum(documents.record_tokens) / (written.records * row_length)


def _first_fit(path: Path, row_length: int) -> Iterator[Row]:
    rows: list[list[tuple[np.ndarray, np.ndarray]]] = []
    for record in read_shard(path):
        start = 0
        for length in record.lengths.tolist():
            part = slice(start, start + length)
            start += length
            for row in rows:
                if sum(len(tokens) for tokens, _ in row) + length <= row_length:
                    row.append((record.tokens[part], record.modality[part]))
                    break
            else:
                if len(rows) == OPEN:
                    yield _row(rows.pop(0), row_length)
                rows.append([(record.tokens[part], record.modality[part])])
    for row in rows:
        yield _row(row, row_length)


def _row(documents: list[tuple[np.ndarray, np.ndarray]], row_length: int) -> Row:
    lengths = np.array([len(tokens) for tokens, _ in documents])
    padding = (0, row_length - lengths.sum())
    tokens, modality = (np.pad(np.concatenate(x), padding) for x in zip(*documents, strict=True))
    return Row(tokens, modality, lengths, np.zeros(len(lengths), int))


if __name__ == "__main__":
    main()
