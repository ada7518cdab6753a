"""What a training step minimises, on one batch."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from biomatrix_jax.structure.protein.graph import featurise
from biomatrix_jax.structure.protein.superposition import rmsd
from biomatrix_jax.structure.protein.training import codebook, losses
from biomatrix_jax.structure.protein.training.config import TrainingConfig
from biomatrix_jax.structure.protein.training.data import Batch
from biomatrix_jax.structure.protein.vqvae import ProteinVQVAE


class Assigned(NamedTuple):
    """What the codebook learns from; n counts all residues of the batch."""

    latents: jax.Array  # float32 [n, C]
    codes: jax.Array  # int32 [n]
    weights: jax.Array  # float32 [n], 0 where not observed


def encode(model: ProteinVQVAE, batch: Batch) -> jax.Array:
    """Latents [B, L, C]."""
    graph = jax.vmap(partial(featurise, neighbours=model.config.neighbours))(
        batch.backbone, batch.residues, batch.present
    )
    return model.latents(graph, batch.present, batch.observed)


def objective(
    model: ProteinVQVAE, batch: Batch, config: TrainingConfig, key: jax.Array, discrete: bool
) -> tuple[jax.Array, tuple[dict[str, jax.Array], Assigned]]:
    """The loss, its parts, and what the codebook is to follow.

    Args:
      discrete: whether latents become codes; else they reach the decoder as they are.
    """
    latents = encode(model, batch)
    dim, weights = latents.shape[-1], batch.observed.reshape(-1).astype(latents.dtype)
    flat, codes = latents.reshape(-1, dim), model.quantizer.codebook[...]
    assigned = jax.lax.stop_gradient(codebook.nearest(flat, codes))
    parts: dict[str, jax.Array] = {}
    given = latents
    if discrete:
        settings, count = config.model.quantizer, len(codes)
        chosen = codes[assigned]
        parts["commitment"] = codebook.commitment(flat, chosen, weights)
        active = jax.ops.segment_sum(weights, assigned, count) > 0
        parts["orthogonality"] = codebook.orthogonality(
            codes, active, settings.orthogonality_codes, key
        )
        given = codebook.rotated(flat, chosen).reshape(latents.shape)
    given = jnp.where(batch.observed[..., None], given, 0.0)
    predicted = model.coordinates(given, batch.observed)
    structure = predicted, batch.backbone, batch.observed
    parts["aligned"] = losses.aligned_error(*structure)
    parts["distance"] = losses.distance_error(*structure)
    parts["direction"] = losses.direction_error(*structure)
    weight = config.losses
    total = sum(
        getattr(weight, name) * parts[name] for name in ("aligned", "distance", "direction")
    )
    if discrete:
        total += weight.codebook * (
            settings.commitment * parts["commitment"]
            + settings.orthogonality * parts["orthogonality"]
        )
        parts["perplexity"] = codebook.perplexity(assigned, weights, count)
        parts["codes_used"] = jnp.sum(active)
    latents = jax.lax.stop_gradient(flat)
    return total, ({"loss": total, **parts}, Assigned(latents, assigned, weights))


def reconstruction(model: ProteinVQVAE, batch: Batch) -> jax.Array:
    """What comes back from the codes: RMSD of N, CA, C after superposition, angstrom [B]."""
    codes = model.quantize(encode(model, batch), batch.observed)
    predicted = model.coordinates(model.embed(codes), batch.observed)
    shape = (len(predicted), -1, 3)
    weights = jnp.repeat(batch.observed, 3, axis=1).astype(jnp.float32)
    return rmsd(predicted.reshape(shape), batch.backbone.reshape(shape), weights)
