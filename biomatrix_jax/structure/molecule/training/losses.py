"""The objective of the molecule tokenizer: four branches, commitment, geometry.

Every term is a squared displacement of the atom in angstrom^2, to first order, so that the terms
compare and an error counts by what it does to coordinates: 1 radian of the azimuth moves an atom
straight above its frame by nothing and one in the plane by its bond length.

Beyond the published objective, the geometry loss asks of each latent to be the atom's position in
its local frame, turned into the latent space by a fixed matrix with orthonormal rows. Then the
nearest code is the one whose atom lies nearest, and k-means on the latents is k-means on positions.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from biomatrix_jax.structure.molecule.vqvae import Weights, nearest_codes, perceptron

Metrics = dict[str, jax.Array]

# x, y, z, the length once more, and what keeps the classes of the sign apart.
COORDINATES = 6
# The length counts twice: an error there is a wrong bond, one of the angles a bent one.
LENGTH_AGAIN = 1.0
# Angstrom. Signs change where the atom hardly moves (|phi| near 0 or pi), and a code that serves
# both sides decodes half of its atoms with the wrong sign; this gap makes codes take sides.
SIGN_GAP = 0.8
UNFRAMED_GAP = 2.0
# Least weight of the sign's cross-entropy, for the same reason.
LEAST_SIGN = 0.1


def displacements(x_nf: jax.Array) -> jax.Array:
    """Weights [n, 4] of squared errors in the features, and of the sign's cross-entropy.

    With them the first three sum to the squared displacement of the atom (angstrom^2, the length
    counted twice), and the fourth is what the wrong sign of an atom in the frame would do.
    """
    r, theta, phi = jnp.exp(x_nf[:, 0]) - 1, x_nf[:, 1] * jnp.pi, x_nf[:, 2] * jnp.pi
    radius = r * jnp.sin(theta)
    wrong_side = jnp.maximum((2 * radius * jnp.sin(phi)) ** 2, LEAST_SIGN)
    return jnp.stack(
        [
            (1 + LENGTH_AGAIN**2) * (1 + r) ** 2,
            (jnp.pi * r) ** 2,
            (jnp.pi * radius) ** 2,
            jnp.where(x_nf[:, 3] == 0, 1.0, wrong_side),
        ],
        axis=1,
    )


def coordinates(x_nf: jax.Array) -> jax.Array:
    """What distances between atoms' local geometries are measured in, float32 [n, 6], angstrom."""
    r, theta, phi = jnp.exp(x_nf[:, 0]) - 1, x_nf[:, 1] * jnp.pi, x_nf[:, 2] * jnp.pi
    sign = x_nf[:, 3]
    radius = r * jnp.sin(theta)
    return jnp.stack(
        [
            radius * jnp.cos(phi),
            radius * jnp.sin(phi) * jnp.where(sign < 0, -1.0, 1.0),
            r * jnp.cos(theta),
            LENGTH_AGAIN * r,
            SIGN_GAP / 2 * sign,
            UNFRAMED_GAP * (sign == 0),
        ],
        axis=1,
    )


def projection(latent: int, seed: int) -> np.ndarray:
    """The fixed matrix of the geometry loss: float32 [6, latent] with orthonormal rows."""
    random = np.random.default_rng([seed, latent])
    return np.linalg.qr(random.normal(size=(latent, COORDINATES)))[0].T.astype(np.float32)


def branches(outputs: dict[str, jax.Array], x_nf: jax.Array, weights_n4: jax.Array) -> Metrics:
    """The loss of each head against the features of the atoms, weighted by atom."""
    losses = {
        name: jnp.mean(weights_n4[:, column] * (outputs[name][:, 0] - x_nf[:, column]) ** 2)
        for column, name in enumerate(("length", "angle", "torsion"))
    }
    classes = jnp.round(x_nf[:, 3]).astype(jnp.int32) + 1
    entropy = optax.softmax_cross_entropy_with_integer_labels(outputs["sign"], classes)
    return {**losses, "sign": jnp.mean(weights_n4[:, 3] * entropy)}


def objective(
    weights: Weights,
    x_nf: jax.Array,
    projection_gc: jax.Array | None,
    commitment: float,
    geometry: float,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array, dict[str, Any], Metrics]]:
    """The loss of a batch; its gradient reaches encoder and heads, not codebook and statistics.

    Args:
      x_nf: float32 [atoms, 4] from `vqvae.features`.
      projection_gc: from `projection`; None where `geometry` is 0.
      commitment, geometry: weights of these terms.

    Returns:
      The loss, and (latents [atoms, latent], their codes int32 [atoms], statistics of the norms as
      a partial tree of weights, the terms of the loss and the codes' perplexity).
    """
    latents, encoder_statistics = perceptron(weights["encoder"], x_nf, train=True)
    codebook = lax.stop_gradient(weights["codebook"])
    assigned = nearest_codes(latents, codebook)
    quantized = codebook[assigned]
    straight_through = latents + lax.stop_gradient(quantized - latents)
    outputs, statistics = {}, {}
    for name, head in weights["heads"].items():
        outputs[name], statistics[name] = perceptron(head, straight_through, train=True)

    metrics = branches(outputs, x_nf, displacements(x_nf))
    total = sum(metrics.values())
    metrics["commitment"] = jnp.mean(jnp.sum((latents - quantized) ** 2, axis=1))
    total += commitment * metrics["commitment"]
    if projection_gc is not None:
        aim = coordinates(x_nf) @ projection_gc
        metrics["geometry"] = jnp.mean(jnp.sum((latents - aim) ** 2, axis=1))
        total += geometry * metrics["geometry"]
    used = jnp.bincount(assigned, length=len(codebook)) / len(x_nf)
    perplexity = jnp.exp(-jnp.sum(used * jnp.log(used + 1e-10)))
    metrics = {"loss": total, **metrics, "perplexity": perplexity}
    statistics = {"encoder": encoder_statistics, "heads": statistics}
    return total, (lax.stop_gradient(latents), assigned, statistics, metrics)


def follow_statistics(weights: Weights, statistics: Weights, momentum: float) -> Weights:
    """Moves running statistics a step towards a batch's; `statistics` is a partial tree."""
    moved = {}
    for name, value in weights.items():
        if name not in statistics:
            moved[name] = value
        elif isinstance(value, dict):
            moved[name] = follow_statistics(value, statistics[name], momentum)
        else:
            moved[name] = (1 - momentum) * value + momentum * statistics[name]
    return moved
