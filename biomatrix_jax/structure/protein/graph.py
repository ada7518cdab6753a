"""The nearest-neighbour graph of a protein chain with the features that GCP-VQVAE reads.

The features are those of the published encoder run on one chain at a time. Everything is float32
and in angstrom, and a chain padded to any length has the features that it has by itself, so that
`jax.vmap` over padded chains is safe.
"""

from typing import NamedTuple

import jax


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
