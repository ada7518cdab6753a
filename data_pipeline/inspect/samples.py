"""Rows of a data directory, decoded back to segments."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.data.reader import RowSource
from biomatrix_jax.tokens import Segment, Vocabulary


def decode_rows(directory: Path, manifest: Manifest, rows: int) -> list[dict]:
    """The first rows of each source as documents of segments, with what did not read back."""
    vocabulary = Vocabulary.from_pretrained(directory / manifests.TOKENIZER)
    samples = []
    for source in manifest.sources:
        for number, row in enumerate(
            itertools.islice(RowSource(directory, manifest, source.name), rows)
        ):
            ends = row.lengths.cumsum().tolist()
            documents = [
                _document(vocabulary, row.tokens[start:end])
                for start, end in itertools.pairwise([0, *ends])
            ]
            samples.append({"source": source.name, "row": number, "documents": documents})
    return samples


def _document(vocabulary: Vocabulary, ids: np.ndarray) -> dict:
    parsed = vocabulary.parse(ids)
    return {
        "tokens": len(ids),
        "segments": [
            {"modality": segment.modality, "content": _content(segment)}
            for segment in parsed.segments
        ],
        "problems": [problem.message for problem in parsed.problems],
    }


def _content(segment: Segment):
    (field,) = dataclasses.fields(segment)  # each kind of segment holds one value
    return getattr(segment, field.name)
