"""A protein tokenizer that has learnt nothing, made in a moment."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from biomatrix_jax.structure.protein import ProteinTokenizer
from biomatrix_jax.structure.protein.config import (
    GCPNetConfig,
    ProteinVQVAEConfig,
    QuantizerConfig,
    TransformerConfig,
)
from biomatrix_jax.structure.protein.vqvae import ProteinVQVAE


def untrained(codes: int = 16, max_length: int = 128) -> ProteinTokenizer:
    """Its codes and coordinates mean nothing, and differ from residue to residue."""
    stack = TransformerConfig(embed_dim=16, layers=1, heads=2, kv_heads=1)
    config = ProteinVQVAEConfig(
        max_length=max_length,
        neighbours=4,
        gcpnet=GCPNetConfig(1, 16, 4, 8, 4),
        encoder=stack,
        quantizer=QuantizerConfig(dim=8, codes=codes),
        decoder=stack,
    )
    # By NumPy: JAX would compile each initialiser.
    graphdef, shapes = nnx.split(nnx.eval_shape(lambda: ProteinVQVAE(config, nnx.Rngs(0))))
    random = np.random.default_rng(0)
    values = []
    for key, variable in nnx.to_flat_state(shapes):
        # Without biases, and as large as this, not every residue gets the same code.
        array = (
            np.zeros(variable.shape) if key[-1] == "bias" else random.normal(size=variable.shape)
        )
        values.append((key, variable.replace(jnp.asarray(array, jnp.float32))))
    return ProteinTokenizer(config, nnx.merge(graphdef, nnx.from_flat_state(values)))
