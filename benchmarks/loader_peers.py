"""Other loaders of short documents, each optional: packed in order while they are loaded."""

import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from biomatrix_jax.data.rows import Row, collate
from biomatrix_jax.tokens.segments import MODALITIES

Document = tuple[np.ndarray, np.ndarray]  # int32 tokens and uint8 modality, each [tokens]
Make = Callable[[], Iterator[dict]]


def installed(
    documents: Callable[[], Iterable[Document]], scratch: Path, row_length: int, batch: int
) -> dict[str, Make]:
    """Pipelines by name; one whose package cannot be imported is skipped, with a line."""
    found: dict[str, Make] = {}
    for package, name, prepare in (
        ("datasets", "hf-datasets-pack-while-loading", hf_datasets),
        ("streaming", "mosaicml-streaming-pack-while-loading", mosaicml_streaming),
    ):
        try:
            importlib.import_module(package)
        except (ImportError, RuntimeError) as error:  # torch's extensions raise the latter
            print(f"{name} skipped: {error}")
            continue
        read = prepare(documents(), scratch / package)
        found[name] = lambda read=read: batches(read(), row_length, batch)
    return found


def hf_datasets(documents: Iterable[Document], folder: Path) -> Callable[[], Iterator[Document]]:
    """Arrow files of one document a record, shuffled by an index, read a thousand at a time."""
    import datasets

    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("int32")),
            "modality": datasets.Sequence(datasets.Value("uint8")),
        }
    )
    records = [{"tokens": tokens, "modality": modality} for tokens, modality in documents]
    datasets.Dataset.from_list(records, features=features).save_to_disk(str(folder))

    def read() -> Iterator[Document]:
        epoch = 0
        while True:
            stored = datasets.load_from_disk(str(folder)).with_format("numpy")
            for records in stored.shuffle(seed=epoch).iter(batch_size=1000):
                yield from zip(records["tokens"], records["modality"], strict=True)
            epoch += 1

    return read


def mosaicml_streaming(
    documents: Iterable[Document], folder: Path
) -> Callable[[], Iterator[Document]]:
    """MDS shards of one document a record, shuffled by its own sampler."""
    import streaming

    columns = {"tokens": "ndarray:int32", "modality": "ndarray:uint8"}
    with streaming.MDSWriter(out=str(folder), columns=columns) as writer:
        for tokens, modality in documents:
            writer.write({"tokens": tokens, "modality": modality})

    def read() -> Iterator[Document]:
        stored = streaming.StreamingDataset(local=str(folder), shuffle=True, batch_size=1)
        while True:
            for record in stored:
                yield record["tokens"], record["modality"]

    return read


def batches(documents: Iterator[Document], row_length: int, batch: int) -> Iterator[dict]:
    """Rows filled in the order in which documents come; one that no longer fits begins the next."""
    weights = np.ones(len(MODALITIES), np.float32)
    rows: list[Row] = []
    row: list[Document] = []
    used = 0
    for document in documents:
        length = len(document[0])
        if used + length > row_length:
            rows.append(_row(row, row_length))
            row, used = [], 0
            if len(rows) == batch:
                yield collate(rows, weights)
                rows = []
        row.append(document)
        used += length


def _row(documents: list[Document], row_length: int) -> Row:
    tokens, modality = np.zeros(row_length, np.int32), np.zeros(row_length, np.uint8)
    lengths = np.array([len(tokens) for tokens, _ in documents])
    used = lengths.sum()
    # HF datasets give int64, whatever is stored.
    np.concatenate([one for one, _ in documents], out=tokens[:used], casting="unsafe")
    np.concatenate([one for _, one in documents], out=modality[:used], casting="unsafe")
    return Row(tokens, modality, lengths, np.zeros(len(documents), np.uint16))
