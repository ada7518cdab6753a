"""A small model and batches of packed rows, as a loader would give them."""

import numpy as np
import pytest

from biomatrix_jax.config import (
    ComputeConfig,
    DataConfig,
    MeshConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainConfig,
)
from biomatrix_jax.data.rows import Row, collate

VOCABULARY = 96
ROWS, LENGTH = 8, 32


@pytest.fixture(scope="session")
def config() -> RunConfig:
    return RunConfig(
        model=ModelConfig(
            vocab_size=VOCABULARY,
            embed_dim=32,
            layers=2,
            heads=4,
            kv_heads=4,
            head_dim=8,
            ffn_dim=48,
        ),
        compute=ComputeConfig(dtype="float32", remat="full", loss_chunk=16),
        mesh=MeshConfig(),
        data=DataConfig(row_length=LENGTH, batch_rows=ROWS),
        optimizer=OptimizerConfig(peak_learning_rate=1e-2, warmup_steps=2, clip_norm=0.5),
        train=TrainConfig(steps=6, checkpoint_every=3),
    )


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
