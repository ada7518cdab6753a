"""A data directory as `biomatrix data build` leaves it, of random rows."""

import numpy as np

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest, Packing, SourceEntry, VocabularyEntry
from biomatrix_jax.tokens import MODALITIES, Vocabulary, base_tokenizer_path
from data_pipeline.shards import write_shards

from .conftest import LENGTH, packed_row


def make_data(directory, seed=0, rows=40):
    """A complete data directory of random packed rows."""
    rng = np.random.default_rng(seed)
    shards = write_shards((packed_row(rng) for _ in range(rows)), directory, "noise")
    (directory / "tokenizer").mkdir()
    vocabulary = Vocabulary.from_pretrained(base_tokenizer_path())
    vocabulary.save(directory / "tokenizer")
    source = SourceEntry(
        "noise",
        inputs=(),
        records=rows,
        used=rows,
        dropped={},
        lost={},
        instances=3 * rows,
        rejected={},
        examples={},
        cut=0,
        documents=3 * rows,
        tokens={MODALITIES[0]: 1},
        rows=rows,
    )
    manifests.write(
        Manifest(
            schema_version=manifests.SCHEMA_VERSION,
            row_length=LENGTH,
            seed=seed,
            vocabulary=VocabularyEntry(vocabulary.size, {}),
            packing=Packing("none", 1),
            sources=(source,),
            shards=tuple(shards),
            recipe={},
            code="",
            versions={},
        ),
        directory,
    )
    return directory
