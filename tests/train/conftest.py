"""A small model and batches of packed rows, as a loader would give them."""

import dataclasses

import numpy as np
import pytest

from biomatrix_jax.config import MeshConfig, RunConfig, load
from biomatrix_jax.data.rows import Row, collate

VOCABULARY = 96
ROWS, LENGTH = 8, 32  # the configuration's


@pytest.fixture(scope="session")
def config() -> RunConfig:
    return load("tiny", [f"model.vocab_size={VOCABULARY}", "optimizer.clip_norm=0.5"])


def packed_row(rng: np.random.Generator) -> Row:
    """Three documents of uneven length and some padding; modalities 0, 1 and 4."""
    lengths = rng.multinomial(LENGTH - 7, [0.5, 0.3, 0.2]) + 1
    used = lengths.sum()
    tokens = np.zeros(LENGTH, np.int32)
    tokens[:used] = rng.integers(0, VOCABULARY, used)
    modality = np.zeros(LENGTH, np.uint8)
    modality[:used] = rng.choice([0, 1, 4], used)
    return Row(tokens, modality, lengths, np.zeros(3, np.int32))


def packed_batch(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = np.array([1, 0.25, 1, 1, 2, 1], np.float32)
    return collate([packed_row(rng) for _ in range(ROWS)], weights)


@pytest.fixture(scope="session")
def batch() -> dict[str, np.ndarray]:
    return packed_batch(0)


@pytest.fixture(scope="module")
def run_config(config, tmp_path_factory) -> RunConfig:
    """A run over a data directory of its own, on eight devices."""
    from .data_directory import make_data

    data = make_data(tmp_path_factory.mktemp("data"))
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, vocab_size=2320),  # the base tokenizer has 2,307
        mesh=MeshConfig(fsdp=4, tensor=2),
        data=dataclasses.replace(config.data, path=str(data)),
    )
