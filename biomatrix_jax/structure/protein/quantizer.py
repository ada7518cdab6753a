"""The codebook: latents to the nearest code, codes to their vectors."""

import jax
import jax.numpy as jnp
from flax import nnx

from biomatrix_jax.model.products import product
from biomatrix_jax.structure.protein.config import QuantizerConfig
from biomatrix_jax.structure.protein.layers import declare

NO_CODE = -1  # where a residue was not observed


class CodeStatistic(nnx.Variable):
    """A moving average that training keeps about the codes; the optimizer does not know it."""


class Quantizer(nnx.Module):
    """A codebook of K codes in C dimensions.

    Attributes:
      codebook: float32 [K, C].
      counts: moving average of how many latents a step assigns to each code, float32 [K].
      sums: moving average of their sums, float32 [K, C].
    """

    def __init__(self, config: QuantizerConfig, rngs: nnx.Rngs):
        codes, dim = config.codes, config.dim
        axes = ("vocab", "embed")
        self.codebook = declare(rngs, None, (codes, dim), axes, 1 / codes)
        self.counts = CodeStatistic(jnp.ones(codes), axes=axes[:1])
        self.sums = CodeStatistic(jnp.copy(self.codebook[...]), axes=axes)

    def nearest(self, latents_blc: jax.Array) -> jax.Array:
        """The code closest to each latent, the lower index on ties: int32 [B, L]."""
        codebook = self.codebook[...]
        # The squared distance, less the latent's own square, which all codes share.
        distances = jnp.sum(codebook**2, axis=-1) - 2 * product(
            "blc,kc->blk", latents_blc, codebook
        )
        return jnp.argmin(distances, axis=-1).astype(jnp.int32)

    def vectors(self, codes_bl: jax.Array) -> jax.Array:
        """The vector of each code, [B, L, C]; 0 where there is none."""
        vectors = self.codebook[...].at[codes_bl].get(mode="clip")
        return jnp.where(codes_bl[..., None] == NO_CODE, 0.0, vectors)
