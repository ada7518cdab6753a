"""How far a decoded backbone is from the true one: the three losses of GCP-VQVAE's decoder.

Each is the mean over the chains of a batch of what is said for one chain; residues that were not
observed do not count. None depends on the pose of either structure. Shape letters: B chains, L
residues; [.., 3, 3] are the atoms N, CA, C, in angstrom.
"""

import jax
import jax.numpy as jnp

from biomatrix_jax.model.products import product
from biomatrix_jax.structure.protein.superposition import kabsch, moved

DISTANCE_CLAMP = 25.0  # square angstrom, as published
DIRECTION_CLAMP = 20.0  # angstrom^4, as directions are not normalised


def aligned_error(
    predicted_bl33: jax.Array, true_bl33: jax.Array, observed_bl: jax.Array
) -> jax.Array:
    """Mean squared difference of coordinates, square angstrom, the true ones being superposed.

    It is the target that moves, without reflection, and no gradient goes through how.
    """
    batch, length = observed_bl.shape
    predicted, true = (x.reshape(batch, 3 * length, 3) for x in (predicted_bl33, true_bl33))
    weights = jnp.repeat(observed_bl, 3, axis=1).astype(predicted.dtype)
    fixed = jax.lax.stop_gradient(predicted)
    target = jax.lax.stop_gradient(moved(true, *kabsch(true, fixed, weights)))
    squares = jnp.mean((predicted - target) ** 2, axis=-1)
    return jnp.mean(jnp.sum(weights * squares, axis=1) / jnp.sum(weights, axis=1))


def distance_error(
    predicted_bl33: jax.Array, true_bl33: jax.Array, observed_bl: jax.Array
) -> jax.Array:
    """Mean over all pairs of atoms of the squared difference of their distances, clamped.

    The clamp decides what is learnt first: a pair far from right has no gradient, so that chains
    come right from their neighbours on. With a clamp of 400 a small network learnt one mean shape
    for all chains and stayed there.
    """
    counts = jnp.repeat(observed_bl, 3, axis=1)
    return _pairs(_distances(predicted_bl33), _distances(true_bl33), counts, DISTANCE_CLAMP)


def direction_error(
    predicted_bl33: jax.Array, true_bl33: jax.Array, observed_bl: jax.Array
) -> jax.Array:
    """Mean over all pairs of `directions` of the squared difference of dot products, clamped."""
    predicted, counts = directions(predicted_bl33, observed_bl)
    true, _ = directions(true_bl33, observed_bl)
    dots = [product("bix,bjx->bij", vectors, vectors) for vectors in (predicted, true)]
    return _pairs(*dots, counts, DIRECTION_CLAMP)


def directions(atoms_bl33: jax.Array, observed_bl: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Six vectors a residue, as ESM3 has them (Hayes et al. 2024, appendix A.1.7.3.1).

    The bonds N-CA, CA-C and C-N of the next residue, and the normals of the planes at CA, N and C.

    Returns:
      [B, 6 L, 3], and bool [B, 6 L]: whether all residues that the vector reads are observed.
    """
    n, ca, c = (atoms_bl33[:, :, atom] for atom in range(3))
    before, after = (jnp.roll(x, shift, axis=1) for x, shift in ((c, 1), (n, -1)))
    bonds = ca - n, c - ca, after - c
    normals = -jnp.cross(bonds[0], bonds[1]), jnp.cross(n - before, bonds[0])
    vectors = jnp.stack([*bonds, *normals, jnp.cross(bonds[1], bonds[2])], axis=2)
    first = observed_bl & jnp.roll(observed_bl, 1, axis=1).at[:, 0].set(False)
    last = observed_bl & jnp.roll(observed_bl, -1, axis=1).at[:, -1].set(False)
    counts = jnp.stack([observed_bl, observed_bl, last, observed_bl, first, last], axis=2)
    return vectors.reshape(len(vectors), -1, 3), counts.reshape(len(counts), -1)


def _distances(atoms_bl33: jax.Array) -> jax.Array:
    points = atoms_bl33.reshape(len(atoms_bl33), -1, 3)
    squares = jnp.sum((points[:, :, None] - points[:, None]) ** 2, axis=-1)
    return jnp.sqrt(squares + 1e-8)  # an atom from itself: a root of 0 has no gradient


def _pairs(predicted_bij, true_bij, counts_bi, clamp: float) -> jax.Array:
    weights = (counts_bi[:, :, None] & counts_bi[:, None]).astype(predicted_bij.dtype)
    squares = jnp.minimum((predicted_bij - true_bij) ** 2, clamp)
    return jnp.mean(jnp.sum(weights * squares, axis=(1, 2)) / jnp.sum(weights, axis=(1, 2)))
