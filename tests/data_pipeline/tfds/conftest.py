"""A small data directory of two sources, and the rows that were written to it."""

from collections import Counter

import numpy as np
import pytest

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest, Packing, SourceEntry, VocabularyEntry
from biomatrix_jax.data.rows import Row, encode_row
from biomatrix_jax.files import sha256
from biomatrix_jax.tokens import MODALITIES
from data_pipeline.shards import write_shards

LENGTH = 48
VOCABULARY = 2**20


def make(directory, names, count=25):
    """Shards of 10 rows; {source: rows}."""
    random = np.random.default_rng(0)
    tokenizer = directory / manifests.TOKENIZER
    tokenizer.mkdir(parents=True)
    (tokenizer / "tokenizer.json").write_text("{}")
    sources, shards, made = [], [], {}
    for number, name in enumerate(names):
        made[name] = [_row(random, number) for _ in range(count)]
        own = write_shards(made[name], directory, name, 10)
        tokens = sum((Counter(shard.tokens) for shard in own), Counter())
        documents = sum(shard.documents for shard in own)
        counts = {"records": documents, "used": documents, "instances": documents}
        sources.append(
            SourceEntry(
                name=name,
                inputs=(),
                **counts,
                documents=documents,
                dropped={},
                lost={},
                rejected={},
                examples={},
                cut=0,
                tokens=dict(tokens),
                rows=count,
            )
        )
        shards += own
    vocabulary = VocabularyEntry(
        VOCABULARY, {"tokenizer.json": sha256(tokenizer / "tokenizer.json")}
    )
    manifest = Manifest(
        schema_version=manifests.SCHEMA_VERSION,
        row_length=LENGTH,
        seed=0,
        vocabulary=vocabulary,
        packing=Packing("none", LENGTH),
        sources=tuple(sources),
        shards=tuple(shards),
        recipe={},
        code="",
        versions={},
    )
    manifests.write(manifest, directory)
    return made


def _row(random, source):
    lengths = random.integers(1, LENGTH // 4, random.integers(1, 5))
    used = lengths.sum()
    tokens, modality = np.zeros(LENGTH, np.int32), np.zeros(LENGTH, np.uint8)
    tokens[:used] = random.integers(0, VOCABULARY, used)
    modality[:used] = random.integers(0, len(MODALITIES), used)
    return Row(tokens, modality, lengths, np.full(len(lengths), source))


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The directory and its rows by source; tests leave it as it is."""
    directory = tmp_path_factory.mktemp("tfds") / "data"
    return directory, make(directory, ["pubmed", "swiss-prot.v2"])


@pytest.fixture(scope="session")
def make_data():
    return make


@pytest.fixture(scope="session")
def record():
    """TFDS's row back to the bytes that the data directory's shards hold."""

    def to_record(row):
        lengths = np.bincount(row["segment_ids"])[1:]  # of the documents: 0 is padding
        source = row["source"][lengths.cumsum() - 1]
        return encode_row(Row(row["tokens"], row["modality"], lengths, source))

    return to_record
