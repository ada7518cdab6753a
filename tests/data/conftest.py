"""A small data directory whose rows can be told apart, made without any corpus."""

import dataclasses

import numpy as np
import pytest

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest, Packing, SourceEntry, VocabularyEntry
from biomatrix_jax.data.rows import Row
from biomatrix_jax.files import sha256
from biomatrix_jax.tokens.segments import MODALITIES
from data_pipeline.shards import write_shards

ROW_LENGTH = 16
VOCABULARY_SIZE = 50_000


def _row(source: int, number: int) -> Row:
    """A row whose first token says which it is: 1,000 * (source + 1) + number."""
    first = [1000 * (source + 1) + number, 5, 6, 7, 8]
    second = [20 + number, 21, 22]
    tokens = np.array(first + second + [0] * (ROW_LENGTH - 8), np.int32)
    modality = np.array([0, 0, 1, 1, 1, 4, 4, 4] + [0] * (ROW_LENGTH - 8), np.uint8)
    return Row(tokens, modality, np.array([5, 3]), np.array([source, source]))


def _data(directory, rows: dict[str, int], rows_per_shard: int = 4) -> Manifest:
    """Writes a complete data directory with so many rows of each source."""
    shards, sources = [], []
    for index, (name, count) in enumerate(rows.items()):
        made = (_row(index, number) for number in range(count))
        shards += write_shards(made, directory, name, rows_per_shard)
        tokens = dict.fromkeys(MODALITIES, 0) | {
            MODALITIES[0]: 2 * count,
            MODALITIES[1]: 3 * count,
            MODALITIES[4]: 3 * count,
        }
        sources.append(
            SourceEntry(
                name,
                inputs=(),
                records=2 * count + 1,
                used=2 * count,
                dropped={"unreadable": 1},
                lost={},
                instances=2 * count,
                rejected={},
                examples={"unreadable": "line 3"},
                documents=2 * count,
                cut=0,
                tokens=tokens,
                rows=count,
            )
        )
    (directory / "tokenizer").mkdir()
    (directory / "tokenizer" / "tokenizer.json").write_text("{}")
    files = {"tokenizer.json": sha256(directory / "tokenizer" / "tokenizer.json")}
    manifest = Manifest(
        schema_version=manifests.SCHEMA_VERSION,
        row_length=ROW_LENGTH,
        seed=0,
        vocabulary=VocabularyEntry(VOCABULARY_SIZE, files),
        packing=Packing("best-fit-decreasing", 4096),
        sources=tuple(sources),
        shards=tuple(shards),
        recipe={},
        code="",
        versions={"numpy": np.__version__},
    )
    manifests.write(manifest, directory)
    return manifest


@pytest.fixture
def make_row():
    """(index of the source, number of the row in it) -> Row."""
    return _row


@pytest.fixture
def make_data():
    """(directory, rows of each source, rows of a shard) -> Manifest of the data written there."""
    return _data


@pytest.fixture
def data(tmp_path):
    """A directory with 10 rows of `first`, 7 of `second` and 1 of `third`."""
    _data(tmp_path, {"first": 10, "second": 7, "third": 1})
    return tmp_path


@pytest.fixture
def rewrite(data):
    """Replaces fields of the manifest in `data`."""

    def replace(**fields):
        manifests.write(dataclasses.replace(manifests.read(data), **fields), data)

    return replace
