"""A small vocabulary with every family, and a random model that goes with it."""

import pytest
from flax import nnx

from biomatrix_jax.config import ComputeConfig, ModelConfig
from biomatrix_jax.model import Decoder
from biomatrix_jax.tokens import base_tokenizer_path, extend_tokenizer


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory):
    return extend_tokenizer(
        base_tokenizer_path(),
        tmp_path_factory.mktemp("vocabulary") / "tokenizer",
        selfies=["[C]", "[=C]", "[O]", "[Branch1]", "[Ring1]"],
        molecule_tokens=["[C 0]", "[C 1]", "[O 0]", "[Branch1 -1]"],
        protein_codes=8,
    )


@pytest.fixture(scope="session")
def config(vocabulary):
    size = -(-vocabulary.size // 64) * 64 + 64  # with padding rows, as released models have
    return ModelConfig(
        vocab_size=size,
        embed_dim=16,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=8,
        ffn_dim=24,
        max_positions=64,
    )


@pytest.fixture(scope="session")
def model(config):
    return Decoder(config, ComputeConfig(dtype="float32"), rngs=nnx.Rngs(0))
