"""Tokens per second of the training loader, beside pipelines that pack while they load.

    python benchmarks/loader.py [--data DIR] [--json FILE]

All read the same documents in this process, ours and Grain's from ArrayRecord shards with the same
compression, and all give batches of tokens, segment ids, positions, targets and modality. The peer,
`grain-pack-while-loading`, is the usual way with Grain: one document per record, shuffled, packed
by `grain.experimental.FirstFitPackIterDataset`, batched. HF datasets and mosaicml-streaming
(`loader_peers`) take part where they are installed, and are skipped with a line elsewhere. Without
--data the documents are made up, with lengths spread like those of molecules, abstracts, proteins.

The rate that counts is tokens per second of processor time, over all threads: it does not depend on
how many cores are idle. Rounds alternate between them, and medians are reported.
"""

import argparse
import contextlib
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grain
import loader_peers
import machine
import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from biomatrix_jax.config import DataConfig
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.loader import Loader
from biomatrix_jax.data.manifest import Manifest, Packing, SourceEntry, VocabularyEntry
from biomatrix_jax.data.reader import RowSource
from biomatrix_jax.data.rows import next_in_document, predicts
from biomatrix_jax.tokens.segments import MODALITIES
from data_pipeline import pack
from data_pipeline.shards import write_shards

VOCABULARY_SIZE = 168_020
PEER = "grain-pack-while-loading"
OURS = "biomatrix-jax"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a directory made by `biomatrix data build`")
    parser.add_argument("--row-length", type=int, default=8192, help="of made-up data, tokens")
    parser.add_argument("--rows", type=int, default=1024, help="of made-up data")
    parser.add_argument("--batch", type=int, default=16, help="rows of a batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one round")
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = arguments.data or make_data(Path(scratch), arguments.row_length, arguments.rows)
        documents = unpack(data, Path(scratch))
        row_length = manifests.read(data).row_length
        pipelines = {
            OURS: lambda: ours(data, row_length, arguments.batch),
            PEER: lambda: peer(documents, row_length, arguments.batch),
        }
        pipelines |= loader_peers.installed(
            lambda: read_documents(documents), Path(scratch), row_length, arguments.batch
        )
        result = compare(pipelines, arguments.rounds, arguments.seconds)
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def ours(data: Path, row_length: int, batch: int) -> Iterator[dict]:
    config = DataConfig(row_length=row_length, batch_rows=batch)
    return Loader(data, config, seed=0).iterate()


def peer(documents: str, row_length: int, batch: int) -> Iterator[dict]:
    def parse(record: bytes) -> dict:
        return dict(zip(("tokens", "modality"), parse_document(record), strict=True))

    def derive(packed: dict) -> dict:
        segment_ids = packed["tokens_segment_ids"]
        goes_on = predicts(segment_ids)
        return {
            "tokens": packed["tokens"],
            "segment_ids": segment_ids,
            "positions": packed["tokens_positions"],
            "targets": next_in_document(packed["tokens"], goes_on),
            "modality": next_in_document(packed["modality"], goes_on),
            "loss_weights": goes_on.astype(np.float32),
        }

    source = grain.sources.ArrayRecordDataSource([documents])
    # Without reading threads: on these short records they only contend with the packing.
    read = (
        grain.MapDataset.source(source)
        .shuffle(seed=0)
        .repeat()
        .map(parse)
        .to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
    )
    packed = grain.experimental.FirstFitPackIterDataset(
        read, length_struct={"tokens": row_length, "modality": row_length}, num_packing_bins=64
    )
    yield from packed.batch(batch).map(derive)


def compare(pipelines: dict, rounds: int, seconds: float) -> dict:
    """Rounds of each pipeline in turn, each begun afresh with one batch that is not measured."""
    packages = ("grain", "array_record", "numpy", "datasets", "mosaicml-streaming")
    about = machine.describe(packages)
    measured = {name: [] for name in pipelines}
    for _ in range(rounds):
        for name, make in pipelines.items():
            with contextlib.closing(make()) as batches:  # nothing reads ahead in the other's round
                next(batches)
                measured[name].append(one_round(batches, seconds))
    summary = {
        name: {key: statistics.median(r[key] for r in results) for key in results[0]}
        | {"rounds": results}
        for name, results in measured.items()
    }
    ours = summary[OURS]["tokens_per_core_second"]
    ratios = {
        name: ours / rate["tokens_per_core_second"]
        for name, rate in summary.items()
        if name != OURS
    }
    return {"machine": about, "pipelines": summary, "ratios": ratios}


def one_round(batches: Iterator[dict], seconds: float) -> dict[str, float]:
    tokens = positions = 0
    wall, processor = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        segment_ids = next(batches)["segment_ids"]
        tokens += np.count_nonzero(segment_ids)
        positions += segment_ids.size
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "tokens_per_core_second": tokens / processor,
        "tokens_per_second": tokens / wall,
        "fill": tokens / positions,
    }


def make_data(directory: Path, row_length: int, rows: int) -> Path:
    """A data directory of made-up documents."""
    rng = np.random.default_rng(0)
    lengths = np.concatenate(
        [
            rng.integers(20, 120, 60 * rows),  # molecules
            rng.lognormal(5.6, 0.4, 8 * rows).astype(int),  # abstracts
            rng.lognormal(5.9, 0.7, 6 * rows).astype(int),  # proteins
        ]
    ).clip(2, row_length)
    rng.shuffle(lengths)
    lengths = lengths[np.cumsum(lengths) <= rows * row_length]
    count = len(lengths)
    documents = pack.Documents(
        (rng.zipf(1.3, lengths.sum()) % VOCABULARY_SIZE).astype(np.int32),
        np.repeat(rng.integers(len(MODALITIES), size=count), lengths).astype(np.uint8),
        np.cumsum(lengths) - lengths,
        lengths,
        np.zeros(count, np.uint16),
    )
    shards = write_shards(pack.pack(documents, row_length), directory, "made-up")
    source = SourceEntry(
        "made-up",
        inputs=(),
        records=count,
        used=count,
        dropped={},
        lost={},
        instances=count,
        rejected={},
        examples={},
        documents=count,
        cut=0,
        tokens={"text": int(lengths.sum())},
        rows=sum(shard.rows for shard in shards),
    )
    manifest = Manifest(
        schema_version=manifests.SCHEMA_VERSION,
        row_length=row_length,
        seed=0,
        vocabulary=VocabularyEntry(VOCABULARY_SIZE, {}),
        packing=Packing(pack.ALGORITHM, int(lengths.sum())),
        sources=(source,),
        shards=tuple(shards),
        recipe={},
        code="",
        versions={},
    )
    manifests.write(manifest, directory)
    return directory


def unpack(data: Path, scratch: Path) -> str:
    """Writes the documents of all rows one per record, as the peer reads them."""
    manifest = manifests.read(data)
    path = str(scratch / "documents.arrayrecord")
    writer = ArrayRecordWriter(path, "group_size:1,zstd:3")
    rows = itertools.chain.from_iterable(
        RowSource(data, manifest, s.name) for s in manifest.sources
    )
    for row in rows:
        stops = np.cumsum(row.lengths).tolist()
        for start, stop in itertools.pairwise([0, *stops]):
            writer.write(row.tokens[start:stop].tobytes() + row.modality[start:stop].tobytes())
    writer.close()
    return path


def parse_document(record: bytes) -> loader_peers.Document:
    tokens = len(record) // 5
    return (
        np.frombuffer(record, "<i4", tokens),
        np.frombuffer(record, "u1", tokens, 4 * tokens),
    )


def read_documents(path: str) -> Iterator[loader_peers.Document]:
    source = grain.sources.ArrayRecordDataSource([path])
    for index in range(len(source)):
        yield parse_document(source[index])


def table(result: dict) -> str:
    lines = [
        machine.text(result["machine"]),
        "",
        f"{'pipeline':38} {'tokens/s/core':>14} {'tokens/s':>12} {'fill':>7}",
    ]
    for name, rate in result["pipelines"].items():
        lines.append(
            f"{name:38} {rate['tokens_per_core_second']:14,.0f} {rate['tokens_per_second']:12,.0f} "
            f"{rate['fill']:7.2%}"
        )
    lines += ["", *(f"by core beside {name}: {x:.1f}" for name, x in result["ratios"].items())]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
