"""The nearest-neighbour graph of a protein chain with the features that GCP-VQVAE reads.

The features are those of the published encoder run on one chain at a time. Everything is float32
and in angstrom, and a chain padded to any length has the features that it has by itself, so that
`jax.vmap` over padded chains is safe.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

RESIDUES = "ABCDEFGHIJKLMNPQRSTVWXY"  # a residue's index here is its class in the one-hot
NEIGHBOURS = 16
WAVELENGTHS = 8  # of the positional encoding, from 2 pi to 2 pi 10^4 residues
RBF_CENTRES = 8
RBF_RANGE = 10.0


class Graph(NamedTuple):
    """One chain padded to L residues, with E = 16 L edges; a batch has one more leading axis.

    An edge runs from a centre to one of its nearest neighbours, and messages are summed onto the
    neighbour. Edges that a short or padded chain does not have come with `rows` L, which is outside
    the chain, and features that are finite and mean nothing.
    """

    node_scalars: jax.Array  # float32 [L, 49]
    node_vectors: jax.Array  # float32 [L, 2, 3]: units, to the next CA and to the one before
    edge_scalars: jax.Array  # float32 [E, 9]: the distance, then 8 radial basis functions
    edge_vectors: jax.Array  # float32 [E, 1, 3]: unit, from the centre to the neighbour
    frames: jax.Array  # float32 [E, 3, 3], one axis a row; neither orthogonal nor of unit length
    rows: jax.Array  # int32 [E], the neighbour; L where there is no edge
    columns: jax.Array  # int32 [E], the centre; 0 where there is no edge


def featurise(
    backbone_l33: jax.Array,
    residues_l: jax.Array,
    present_l: jax.Array,
    neighbours: int = NEIGHBOURS,
) -> Graph:
    """The graph of one chain.

    Args:
      backbone_l33: float32, N, CA, C in angstrom, without NaN in the residues that are present.
      residues_l: int32, indices into `RESIDUES`.
      present_l: bool, true for the chain's residues, which come first, and false for padding.
      neighbours: edges of each residue, to the nearest CAs, the lower index first on ties; a chain
        of so few residues has all the edges there can be.
    """
    backbone = jnp.where(present_l[:, None, None], backbone_l33, 0.0)
    ca = backbone[:, 1]
    rows, columns, exists = _nearest(ca, present_l, min(neighbours, len(ca)))
    offsets = ca[rows] - ca[columns]
    # Not the length of the offset: the original adds a little to each component first.
    distances = _norm(offsets + 1e-6)
    return Graph(
        node_scalars=jnp.concatenate(
            [
                _positions(len(ca)),
                jax.nn.one_hot(residues_l, len(RESIDUES), dtype=jnp.float32),
                _angles(backbone, present_l),
            ],
            axis=-1,
        ),
        node_vectors=_orientations(ca, present_l),
        edge_scalars=jnp.concatenate([distances, _radial_basis(distances)], axis=-1),
        edge_vectors=_unit(offsets)[:, None],
        frames=_frames(ca, present_l, rows, columns),
        rows=jnp.where(exists, rows, len(ca)),
        columns=jnp.where(exists, columns, 0),
    )


def _nearest(ca: jax.Array, present: jax.Array, neighbours: int):
    """Neighbour and centre of each edge, centre by centre, and whether there is such an edge."""
    length = len(ca)
    squares = jnp.sum(jnp.square(ca[:, None] - ca[None, :]), axis=-1)
    possible = present[:, None] & present[None, :] & ~jnp.eye(length, dtype=bool)
    # top_k puts the lower index first where values are equal.
    nearness, rows = jax.lax.top_k(jnp.where(possible, -squares, -jnp.inf), neighbours)
    columns = jnp.repeat(jnp.arange(length, dtype=jnp.int32), neighbours)
    return rows.reshape(-1), columns, jnp.isfinite(nearness).reshape(-1)


def _positions(length: int) -> np.ndarray:
    """Sines, then cosines, of the residue's index over eight wavelengths: float32 [L, 16]."""
    frequencies = np.float32(1e-4) ** np.linspace(0, 1, WAVELENGTHS, dtype=np.float32)
    # In float32 as in the original: at residue 1,000 an exact product is 3e-5 away from it.
    phases = np.arange(length, dtype=np.float32)[:, None] * frequencies
    return np.concatenate([np.sin(phases), np.cos(phases)], axis=-1)


def _angles(backbone: jax.Array, present: jax.Array) -> jax.Array:
    """Cosine and sine of alpha, kappa, phi, psi and omega: [L, 10], (1, 0) where undefined.

    Alpha is the dihedral of the CAs i - 1 .. i + 2, kappa the bend at CA i between CA i - 2 and
    CA i + 2.
    """
    n, ca, c = backbone[:, 0], backbone[:, 1], backbone[:, 2]
    before, after = _at(backbone, -1), _at(backbone, 1)
    alpha = [before[:, 1], ca, after[:, 1], _at(ca, 2)]
    phi = [before[:, 2], n, ca, c]
    psi = [n, ca, c, after[:, 0]]
    omega = [ca, c, after[:, 0], after[:, 1]]
    dihedrals = _dihedral(
        *(jnp.stack(points, axis=1) for points in zip(alpha, phi, psi, omega, strict=True))
    )
    kappa = _bend(_at(ca, -2), ca, _at(ca, 2))
    angles_l52 = jnp.concatenate([dihedrals[:, :1], kappa[:, None], dihedrals[:, 1:]], axis=1)
    defined = _inside(present, (-1, 2), (-2, 2), (-1, 0), (0, 1), (0, 1))
    angles_l52 = jnp.where(defined[..., None], angles_l52, jnp.array([1.0, 0.0]))
    return angles_l52.reshape(len(ca), 10)


def _at(x: jax.Array, offset: int) -> jax.Array:
    """The value of residue i + offset in the place of residue i; wraps around at the ends."""
    return jnp.roll(x, -offset, axis=0)


def _inside(present: jax.Array, *reaches: tuple[int, int]) -> jax.Array:
    """Whether residues i + first to i + last are in the chain: bool [L, reaches]."""
    first, last = np.array(reaches).T[:, None] + np.arange(len(present))[:, None]
    return (first >= 0) & (last < jnp.sum(present))


def _dihedral(a: jax.Array, b: jax.Array, c: jax.Array, d: jax.Array) -> jax.Array:
    """Cosine and sine of the angle about b-c, with the original's guards against 0 and 1."""
    u, v, w = _unit(a - b), _unit(b - c), _unit(c - d)
    normal, other = jnp.cross(u, v), jnp.cross(v, w)
    x = jnp.clip(_dot(normal, other), -1 + 1e-7, 1 - 1e-7)
    x = jnp.where(jnp.abs(x) < 1e-7, 1e-7, x)
    y = _dot(jnp.cross(normal, v), other)
    return _unit(jnp.concatenate([x, y], axis=-1))


def _bend(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    """Cosine and sine of pi minus the angle at b: 0 for three points on a line."""
    incoming, outgoing = _unit(b - a), _unit(c - b)
    # The sine from the cross product is exact where a nearly straight strand makes it small.
    return jnp.concatenate(
        [_dot(incoming, outgoing), _norm(jnp.cross(incoming, outgoing))], axis=-1
    )


def _orientations(ca: jax.Array, present: jax.Array) -> jax.Array:
    ahead_and_back = jnp.stack([_at(ca, 1), _at(ca, -1)], axis=1) - ca[:, None]
    there = _inside(present, (0, 1), (-1, 0))
    return jnp.where(there[..., None], _unit(ahead_and_back), 0.0)


def _radial_basis(distances: jax.Array) -> jax.Array:
    centres = np.linspace(0, RBF_RANGE, RBF_CENTRES, dtype=np.float32)
    return jnp.exp(-jnp.square((distances - centres) / (RBF_RANGE / RBF_CENTRES)))


def _frames(ca: jax.Array, present: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Difference, cross product and their cross product, of both ends seen from the CAs' mean."""
    ca = ca - jnp.sum(ca, axis=0) / jnp.maximum(jnp.sum(present), 1)  # padding is at 0
    row, column = ca[rows], ca[columns]
    difference, cross = row - column, jnp.cross(row, column)
    difference /= _norm(difference) + 1
    cross /= _norm(cross) + 1
    return jnp.stack([difference, cross, jnp.cross(difference, cross)], axis=1)


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.sum(a * b, axis=-1, keepdims=True)


def _norm(x: jax.Array) -> jax.Array:
    return jnp.sqrt(_dot(x, x))


def _unit(x: jax.Array) -> jax.Array:
    """x / |x|, 0 for 0."""
    return x / jnp.maximum(_norm(x), 1e-12)
