"""A small training set and a small model."""

import numpy as np
import pytest

from biomatrix_jax.structure.protein.config import (
    GCPNetConfig,
    ProteinVQVAEConfig,
    QuantizerConfig,
    TransformerConfig,
)
from biomatrix_jax.structure.protein.training.chains import TrainingChain
from biomatrix_jax.structure.protein.training.config import (
    AdamWConfig,
    BatchConfig,
    TrainingConfig,
)


def helix(length, seed):
    """A backbone [length, 4, 3] like an alpha helix, a little blurred."""
    angle = np.radians(100) * np.arange(length)
    ca = np.stack([2.3 * np.cos(angle), 2.3 * np.sin(angle), 1.5 * np.arange(length)], axis=-1)
    offsets = np.array([[-0.9, 0.4, -1.0], [0, 0, 0], [0.6, -0.5, 1.2], [1.7, -0.9, 1.4]])
    blur = np.random.default_rng(seed).normal(size=(length, 4, 3)) * 0.2
    return (ca[:, None] + offsets + blur).astype(np.float32)


@pytest.fixture(scope="session")
def chains():
    """Twelve chains of 9 to 31 residues in three families; two are held out, one has a gap."""
    made = []
    for i in range(12):
        length = 9 + 2 * i
        sequence = "".join("ACDEFGHIKLMNPQRSTVWY"[(i + j) % 20] for j in range(length))
        backbone = helix(length, i)
        if i == 5:
            backbone[7:9] = np.nan
        made.append(TrainingChain(f"1ABC_{i}", sequence, backbone, i % 3, i in (2, 8)))
    return made


@pytest.fixture(scope="session")
def config():
    """Settings under which a step compiles in seconds."""
    return TrainingConfig(
        model=ProteinVQVAEConfig(
            max_length=64,
            neighbours=4,
            gcpnet=GCPNetConfig(1, 8, 4, 8, 4),
            encoder=TransformerConfig(16, 1, 2, 2),
            quantizer=QuantizerConfig(dim=4, codes=16, decay=0.9, dead_code_threshold=0.5),
            decoder=TransformerConfig(16, 1, 2, 2),
        ),
        optimizer=AdamWConfig(learning_rate=3e-3, warmup_steps=2),
        batch=BatchConfig(residues=256, lengths=(32,), shares=(1.0,), bent=0.5),
        steps=6,
        continuous_steps=2,
        evaluate_every=3,
        checkpoint_every=2,
    )
