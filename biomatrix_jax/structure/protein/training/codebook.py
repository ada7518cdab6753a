"""How the codebook learns: its losses, the gradient through it, and its moving averages.

Shape letters: K codes, C dimensions, n latents (all residues of a batch; those that were not
observed have weight 0).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from biomatrix_jax.model.products import product

EPSILON = 1e-5  # of the smoothing of counts
_NO_ZERO = 1e-6


class Codebook(NamedTuple):
    """The codes and what they follow."""

    codes: jax.Array  # float32 [K, C]
    counts: jax.Array  # [K], moving average of the number of latents that a step gives a code
    sums: jax.Array  # [K, C], moving average of their sum


def rotated(latents_nc: jax.Array, codes_nc: jax.Array) -> jax.Array:
    """The codes as values, with the gradient of the rotation trick.

    Fifty et al. 2024, arXiv:2410.06424: code = (|q| / |e|) R e with R the rotation in the plane of
    latent e and code q; scale and rotation count as constants, so that the angle between the
    gradient and the code becomes that between what the latent gets and the latent.
    """
    e, q = (jax.lax.stop_gradient(x) for x in (latents_nc, codes_nc))
    e_length, q_length = (jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (e, q))
    e, q = e / jnp.maximum(e_length, _NO_ZERO), q / jnp.maximum(q_length, _NO_ZERO)
    middle = e + q
    middle /= jnp.maximum(jnp.linalg.norm(middle, axis=-1, keepdims=True), _NO_ZERO)
    along_e, along_middle = (jnp.sum(latents_nc * x, axis=-1, keepdims=True) for x in (e, middle))
    turned = latents_nc - 2 * along_middle * middle + 2 * along_e * q
    return turned * q_length / jnp.maximum(e_length, _NO_ZERO)


def commitment(latents_nc: jax.Array, codes_nc: jax.Array, weights_n: jax.Array) -> jax.Array:
    """Mean squared difference of latents and their codes; its gradient moves both."""
    squares = jnp.mean((latents_nc - codes_nc) ** 2, axis=-1)
    return jnp.sum(weights_n * squares) / jnp.sum(weights_n)


def orthogonality(codes_kc: jax.Array, active_k: jax.Array, most: int, key: jax.Array) -> jax.Array:
    """sum over pairs of squared cosines / n^2 - 1 / n, over the n active codes.

    Args:
      active_k: bool, the codes that the batch uses.
      most: of more active codes than that, so many are drawn at random.
    """
    priority = jax.random.uniform(key, active_k.shape) + active_k
    chosen = jax.lax.top_k(priority, min(most, len(codes_kc)))[1]
    weights = active_k[chosen].astype(codes_kc.dtype)
    codes = codes_kc[chosen]
    codes *= jax.lax.rsqrt(jnp.maximum(jnp.sum(codes**2, axis=-1, keepdims=True), _NO_ZERO**2))
    cosines = product("ic,jc->ij", codes, codes)
    count = jnp.maximum(jnp.sum(weights), 1)
    return jnp.sum(cosines**2 * weights[:, None] * weights) / count**2 - 1 / count


def followed(
    codebook: Codebook,
    latents_nc: jax.Array,
    assigned_n: jax.Array,
    weights_n: jax.Array,
    decay: float,
    dead: float,
    key: jax.Array,
) -> Codebook:
    """One step of the moving averages (van den Oord et al. 2017, appendix A.1).

    A code whose count falls below `dead` starts anew, at a latent of the batch and with that count.
    """
    counts, sums = _statistics(latents_nc, assigned_n, weights_n, len(codebook.codes))
    counts = decay * codebook.counts + (1 - decay) * counts
    sums = decay * codebook.sums + (1 - decay) * sums
    total = jnp.sum(counts)
    smoothed = (counts + EPSILON) / (total + len(counts) * EPSILON) * total
    codes = sums / smoothed[:, None]
    fresh = latents_nc[_drawn(weights_n, len(codes), key)]
    starts = counts < dead
    return Codebook(
        codes=jnp.where(starts[:, None], fresh, codes),
        counts=jnp.where(starts, dead, counts),
        sums=jnp.where(starts[:, None], dead * fresh, sums),
    )


def kmeans(
    latents_nc: jax.Array, weights_n: jax.Array, codes: int, steps: int, key: jax.Array
) -> Codebook:
    """The first codes: `steps` of Lloyd's iterations from codes drawn among the latents.

    A code that gets no latent stays where it is.
    """

    def step(_, means):
        counts, sums = _statistics(latents_nc, nearest(latents_nc, means), weights_n, codes)
        moved = sums / jnp.maximum(counts, 1)[:, None]
        return jnp.where(counts[:, None] > 0, moved, means)

    means = jax.lax.fori_loop(0, steps, step, latents_nc[_drawn(weights_n, codes, key)])
    counts, _ = _statistics(latents_nc, nearest(latents_nc, means), weights_n, codes)
    return Codebook(means, counts, means * counts[:, None])


def nearest(latents_nc: jax.Array, codes_kc: jax.Array) -> jax.Array:
    """The code closest to each latent, the lower index on ties: int32 [n]."""
    dots = product("nc,kc->nk", latents_nc, codes_kc)
    return jnp.argmin(jnp.sum(codes_kc**2, axis=-1) - 2 * dots, axis=-1).astype(jnp.int32)


def perplexity(assigned_n: jax.Array, weights_n: jax.Array, codes: int) -> jax.Array:
    """exp of the entropy of the codes' use in a batch: how many are in use, so to speak."""
    share = jax.ops.segment_sum(weights_n, assigned_n, codes) / jnp.sum(weights_n)
    return jnp.exp(-jnp.sum(share * jnp.log(jnp.maximum(share, 1e-10))))


def _statistics(latents_nc, assigned_n, weights_n, codes: int):
    counts = jax.ops.segment_sum(weights_n, assigned_n, codes)
    # A latent without weight may be anything, NaN too.
    weighted = jnp.where(weights_n[:, None] > 0, latents_nc * weights_n[:, None], 0)
    return counts, jax.ops.segment_sum(weighted, assigned_n, codes)


def _drawn(weights_n: jax.Array, count: int, key: jax.Array) -> jax.Array:
    """Latents with weight: as far as there are enough, each at most once."""
    order = jnp.argsort(jax.random.uniform(key, weights_n.shape) - weights_n)
    usable = jnp.sum(weights_n > 0)
    return order[jnp.arange(count) % jnp.maximum(usable, 1)]
