"""GCP-VQVAE: graphs of protein backbones -> latents -> codes -> vectors -> backbones.

After "GCP-VQVAE: A Geometry-Complete Language for Protein 3D Structure"; the function computed is
that of the published code run on one chain at a time. A chain padded to any length, in any batch,
has the codes that it has alone.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from biomatrix_jax.structure.protein.config import ProteinVQVAEConfig
from biomatrix_jax.structure.protein.gcpnet import GCPNet
from biomatrix_jax.structure.protein.graph import Graph
from biomatrix_jax.structure.protein.head import BackboneHead, atoms, placement
from biomatrix_jax.structure.protein.layers import WHOLE, Linear
from biomatrix_jax.structure.protein.quantizer import NO_CODE, Quantizer
from biomatrix_jax.structure.protein.transformer import Transformer


class ProteinVQVAE(nnx.Module):
    """The network. Its methods are to be compiled by who calls them (`jax.jit`, `nnx.jit`).

    Shape letters: B chains, L residues (padded), C dimensions of the codebook.

    Args:
      config: sizes.
      rngs: initial values; under `nnx.eval_shape` only shapes are made.
    """

    def __init__(self, config: ProteinVQVAEConfig, rngs: nnx.Rngs):
        wide, narrow, latent = (
            config.encoder.embed_dim,
            config.decoder.embed_dim,
            config.quantizer.dim,
        )
        self.config = config
        self.gcpnet = GCPNet(config.gcpnet, rngs)
        self.encoder_in = Linear(config.gcpnet.node_scalars, wide, rngs, axes=("embed", WHOLE))
        self.encoder = Transformer(config.encoder, rngs)
        self.encoder_out = Linear(wide, latent, rngs, axes=(WHOLE, "embed"))
        self.quantizer = Quantizer(config.quantizer, rngs)
        self.decoder_in = Linear(latent, narrow, rngs, axes=("embed", WHOLE), bias=False)
        self.decoder = Transformer(config.decoder, rngs)
        self.head = BackboneHead(narrow, rngs)

    def latents(self, graph: Graph, present_bl: jax.Array, observed_bl: jax.Array) -> jax.Array:
        """What the quantizer is given, float32 [B, L, C]; means nothing where not observed.

        Args:
          graph: of the chains, each array with a leading axis B.
          present_bl: bool, false for padding.
          observed_bl: bool, false also for residues whose coordinates were filled in.
        """
        x = jax.vmap(self.gcpnet)(graph)
        x = self.encoder_in(jnp.where(present_bl[..., None], x, 0.0))
        return self.encoder_out(self.encoder(x, present_bl & observed_bl))

    def quantize(self, latents_blc: jax.Array, observed_bl: jax.Array) -> jax.Array:
        """The nearest code of each residue, int32 [B, L]; -1 where not observed."""
        return jnp.where(observed_bl, self.quantizer.nearest(latents_blc), NO_CODE)

    def embed(self, codes_bl: jax.Array) -> jax.Array:
        """The vectors of codes, float32 [B, L, C]; 0 for -1."""
        return self.quantizer.vectors(codes_bl)

    def coordinates(self, quantized_blc: jax.Array, observed_bl: jax.Array) -> jax.Array:
        """N, CA, C of each residue, float32 [B, L, 3, 3], angstrom, in a pose of its own.

        Means nothing where not observed; such residues change no other.
        """
        x = self.decoder(self.decoder_in(quantized_blc), observed_bl)
        return atoms(placement(self.head(x)))
