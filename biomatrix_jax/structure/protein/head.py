"""Where a residue's atoms are: an ideal backbone, turned and moved as the decoder says."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from biomatrix_jax.model.products import product
from biomatrix_jax.structure.protein.layers import WHOLE, LayerNorm, Linear

# N, CA, C of a residue in its own frame, angstrom.
TEMPLATE = np.array([[0.5256, 1.3612, 0], [0, 0, 0], [-1.5251, 0, 0]], np.float32)


class Placement(NamedTuple):
    """Of residues: atoms = rotation @ template + translation."""

    rotations: jax.Array  # float32 [..., 3, 3]
    translations: jax.Array  # float32 [..., 3], angstrom


class BackboneHead(nnx.Module):
    """[..., D] -> [..., 9]: a translation and two vectors that decide a rotation."""

    def __init__(self, embed_dim: int, rngs: nnx.Rngs):
        self.hidden = Linear(embed_dim, embed_dim, rngs, axes=(WHOLE, "embed"))
        self.norm = LayerNorm(embed_dim, rngs)
        self.out = Linear(embed_dim, 9, rngs, axes=(WHOLE, "embed"))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(self.norm(jax.nn.gelu(self.hidden(x), approximate=False)))


def placement(raw: jax.Array) -> Placement:
    """The placement that nine numbers say: the translation, and vectors u and w.

    -u is the first axis, w less its part along that the second, their cross product the third.
    """
    translation, u, w = jnp.split(raw, 3, axis=-1)
    u, w = (v / (jnp.linalg.norm(v, axis=-1, keepdims=True) + 1e-5) for v in (u, w))
    first = _unit(-u)
    second = _unit(w - jnp.sum(first * w, axis=-1, keepdims=True) * first)
    axes = jnp.stack([first, second, jnp.cross(first, second)], axis=-1)
    return Placement(axes, translation)


def atoms(placement: Placement) -> jax.Array:
    """N, CA, C of each residue, [..., 3, 3] angstrom."""
    turned = product("...xy,ay->...ax", placement.rotations, jnp.asarray(TEMPLATE))
    return turned + placement.translations[..., None, :]


def _unit(v: jax.Array) -> jax.Array:
    return v * jax.lax.rsqrt(jnp.sum(v * v, axis=-1, keepdims=True) + 1e-10)
