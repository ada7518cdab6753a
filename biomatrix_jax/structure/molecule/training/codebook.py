"""The codebook: moving averages while the encoder learns, k-means once it stands still.

While training, each code follows an exponential moving average of the latents assigned to it (van
den Oord et al. 2017, appendix A.1), and one that falls out of use restarts at a latent of the
batch. Afterwards codes are seeded by k-means++ (Arthur and Vassilvitskii 2007) and refined by
Lloyd's iteration.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from biomatrix_jax.structure.molecule.vqvae import nearest_codes

EPSILON = 1e-5
ROWS = 2**14  # latents compared with the codebook at a time, to bound the memory


class Usage(NamedTuple):
    """Moving averages over batches of the latents assigned to each code."""

    size: jax.Array  # [codes], how many
    total: jax.Array  # [codes, latent], their sum


def start(latents_nc: jax.Array, codes: int, random: np.random.Generator) -> tuple:
    """A codebook of random latents, and averages as if each code were used alike."""
    codebook = jnp.asarray(latents_nc)[random.integers(0, len(latents_nc), codes)]
    average = len(latents_nc) / codes
    return codebook, Usage(jnp.full(codes, average), codebook * average)


def follow(
    usage: Usage,
    latents_nc: jax.Array,
    assigned_n: jax.Array,
    revival_kc: jax.Array,
    decay: float,
    revive_below: float,
) -> tuple[jax.Array, Usage]:
    """One step of the moving averages: the new codebook, and the averages it came from.

    Args:
      usage: averages so far.
      latents_nc: of the batch, float32 [atoms, latent].
      assigned_n: their codes, int32 [atoms].
      revival_kc: where each code restarts should it be dead, [codes, latent].
      decay: part of the old average that stays.
      revive_below: part of the average use below which a code is dead.
    """
    codes, average = len(usage.size), len(latents_nc) / len(usage.size)
    size = jnp.bincount(assigned_n, length=codes)
    total = jax.ops.segment_sum(latents_nc, assigned_n, codes)
    size = decay * usage.size + (1 - decay) * size
    total = decay * usage.total + (1 - decay) * total
    # Revived codes start with an average code's weight, so that they get time to find a place.
    dead = size < revive_below * average
    size = jnp.where(dead, average, size)
    total = jnp.where(dead[:, None], revival_kc * average, total)
    everything = jnp.sum(size)
    smoothed = (size + EPSILON) / (everything + codes * EPSILON) * everything
    return total / smoothed[:, None], Usage(size, total)


def seed(latents_nc: np.ndarray, codes: int, random: np.random.Generator) -> np.ndarray:
    """k-means++: latents drawn with probability by squared distance from those drawn before."""
    chosen = [latents_nc[random.integers(len(latents_nc))]]
    squared = np.full(len(latents_nc), np.inf, np.float32)
    for _ in range(codes - 1):
        squared = np.minimum(squared, np.sum((latents_nc - chosen[-1]) ** 2, axis=1))
        cumulated = np.cumsum(squared, dtype=np.float64)
        # Fewer distinct latents than codes: the rest are repeats, which nothing is assigned to.
        pick = np.searchsorted(cumulated, random.random() * cumulated[-1], side="right")
        chosen.append(latents_nc[min(pick, len(latents_nc) - 1)])
    return np.array(chosen)


def lloyd(latents_nc: np.ndarray, codebook_kc: np.ndarray, iterations: int) -> np.ndarray:
    """Lloyd's iteration: each code moves to the mean of what it is nearest to, `iterations` times.

    A code that nothing is nearest to stays where it is.
    """
    codebook = jnp.asarray(codebook_kc)
    for _ in range(iterations):
        size, total = jnp.zeros(len(codebook)), jnp.zeros(codebook.shape)
        for begin in range(0, len(latents_nc), ROWS):
            part = _sums(latents_nc[begin : begin + ROWS], codebook)
            size, total = size + part.size, total + part.total
        codebook = jnp.where(size[:, None] > 0, total / jnp.maximum(size, 1)[:, None], codebook)
    return np.asarray(codebook)


nearest = jax.jit(nearest_codes)


@jax.jit
def _sums(latents_nc: jax.Array, codebook_kc: jax.Array) -> Usage:
    assigned = nearest_codes(latents_nc, codebook_kc)
    size = jnp.bincount(assigned, length=len(codebook_kc))
    return Usage(size, jax.ops.segment_sum(latents_nc, assigned, len(codebook_kc)))
