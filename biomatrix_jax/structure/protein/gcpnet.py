"""GCPNet: a message-passing network whose units mix scalars with vectors along local frames.

From the features of a chain's graph it makes numbers for each residue that no rotation or
translation changes, but a reflection does. All of it is about one chain; `jax.vmap` makes it a
batch.

Shape letters: L residues, E edges, S scalar channels, V vector channels.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from biomatrix_jax.model.products import product
from biomatrix_jax.structure.protein.config import GCPNetConfig
from biomatrix_jax.structure.protein.graph import Graph
from biomatrix_jax.structure.protein.layers import LayerNorm, Linear, run

# Channels of the features of a residue and of an edge: scalars, vectors.
NODE_INPUTS = (49, 2)
EDGE_INPUTS = (9, 1)
BOTTLENECK = 4  # by which a unit divides its vector channels
EPS = 1e-8  # the least squared length of a vector


class Features(NamedTuple):
    """What residues or edges have."""

    scalars: jax.Array  # float32 [..., S]
    vectors: jax.Array  # float32 [..., V, 3]


def plus(a: Features, b: Features) -> Features:
    """The sum, channel by channel."""
    return Features(a.scalars + b.scalars, a.vectors + b.vectors)


def joined(*parts: Features) -> Features:
    """The channels of all parts, one after the other."""
    scalars, vectors = zip(*parts, strict=True)
    return Features(jnp.concatenate(scalars, axis=-1), jnp.concatenate(vectors, axis=-2))


class GCP(nnx.Module):
    """A geometry-complete perceptron: scalars and vectors to scalars and vectors.

    Args:
      inputs, outputs: channels, scalars and vectors; 0 vectors: none come out.
      hidden: vector channels in the middle; None: a quarter of those that come in.
      two_steps: the scalars go through a second linear layer, SiLU between the two.
      activation: of the scalars; whether vectors pass is decided by what it gives.
      stack: layers stacked on axis 0.
    """

    def __init__(
        self,
        inputs: tuple[int, int],
        outputs: tuple[int, int],
        rngs: nnx.Rngs,
        *,
        hidden: int | None = None,
        two_steps: bool = False,
        activation: Callable[[jax.Array], jax.Array] = jax.nn.silu,
        stack: int | None = None,
    ):
        (scalars_in, vectors_in), (scalars_out, vectors_out) = inputs, outputs
        hidden = hidden or vectors_in // BOTTLENECK
        self.activation = activation
        self.vector_down = Linear(vectors_in, hidden, rngs, stack=stack, bias=False)
        self.vector_down_frames = Linear(vectors_in, 3, rngs, stack=stack, bias=False)
        layer = TwoLinears if two_steps else Linear
        self.scalar_out = layer(scalars_in + hidden + 9, scalars_out, rngs, stack=stack)
        self.makes_vectors = vectors_out > 0
        if self.makes_vectors:
            self.vector_up = Linear(hidden, vectors_out, rngs, stack=stack, bias=False)
            self.vector_out_scale = Linear(scalars_out, vectors_out, rngs, stack=stack)

    def __call__(self, x: Features, frames: jax.Array) -> Features:
        """`frames` [..., 3, 3]: axes, one a row, along which vectors become scalars."""
        hidden = self.vector_down.vectors(x.vectors)
        lengths = jnp.sqrt(jnp.maximum(jnp.sum(hidden**2, axis=-1), EPS))
        local = product("...cx,...fx->...cf", self.vector_down_frames.vectors(x.vectors), frames)
        local = local.reshape(*local.shape[:-2], 9)
        scalars = self.scalar_out(jnp.concatenate([x.scalars, lengths, local], axis=-1))
        scalars = self.activation(scalars)
        if not self.makes_vectors:
            return Features(scalars, x.vectors[..., :0, :])
        gate = jax.nn.sigmoid(self.vector_out_scale(scalars))
        return Features(scalars, self.vector_up.vectors(hidden) * gate[..., None])


class TwoLinears(nnx.Module):
    """Linear, SiLU, Linear."""

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs, *, stack: int | None = None):
        self.first = Linear(inputs, outputs, rngs, stack=stack)
        self.second = Linear(outputs, outputs, rngs, stack=stack)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.second(jax.nn.silu(self.first(x)))


class FeatureNorm(LayerNorm):
    """LayerNorm of the scalars; vectors divided by the root mean square of their lengths."""

    def __call__(self, x: Features) -> Features:
        squared = jnp.maximum(jnp.sum(x.vectors**2, axis=-1, keepdims=True), EPS)
        scale = jax.lax.rsqrt(jnp.mean(squared, axis=-2, keepdims=True))
        return Features(super().__call__(x.scalars), x.vectors * scale)


class Interaction(nnx.Module):
    """One layer: a message along each edge, their sums, a feed-forward. All layers stacked."""

    def __init__(self, config: GCPNetConfig, rngs: nnx.Rngs):
        stack = config.layers
        scalars, vectors = node = config.node_scalars, config.node_vectors
        edge_scalars, edge_vectors = config.edge_scalars, config.edge_vectors
        pair = 2 * scalars + edge_scalars, 2 * vectors + edge_vectors
        wide = 4 * scalars, 2 * vectors
        self.messages = nnx.List(
            [GCP(inputs, node, rngs, stack=stack) for inputs in (pair, node, node, node)]
        )
        self.gate = Linear(scalars, 1, rngs, stack=stack)
        self.expand = GCP((2 * scalars, 2 * vectors), wide, rngs, stack=stack)
        self.contract = GCP(wide, node, rngs, stack=stack, two_steps=True, activation=_identity)
        self.norm = FeatureNorm(scalars, rngs, stack=stack)

    def __call__(
        self, nodes: Features, edges: Features, graph: Graph, node_frames: jax.Array
    ) -> Features:
        received = summed(self.message(nodes, edges, graph), graph)
        return self.norm(plus(nodes, self.feed_forward(nodes, received, node_frames)))

    def message(self, nodes: Features, edges: Features, graph: Graph) -> Features:
        """What goes along each edge."""
        first, *others = self.messages
        message = first(along_edges(nodes, edges, graph), graph.frames)
        for gcp in others:
            message = plus(message, gcp(message, graph.frames))
        return message._replace(
            scalars=message.scalars * jax.nn.sigmoid(self.gate(message.scalars))
        )

    def feed_forward(self, nodes: Features, received: Features, node_frames: jax.Array) -> Features:
        """What is added to each residue."""
        return self.contract(self.expand(joined(received, nodes), node_frames), node_frames)


class GCPNet(nnx.Module):
    """The graph network: a chain's graph -> float32 [L, S]."""

    def __init__(self, config: GCPNetConfig, rngs: nnx.Rngs):
        node = config.node_scalars, config.node_vectors
        edge = config.edge_scalars, config.edge_vectors
        self.node_norm = FeatureNorm(NODE_INPUTS[0], rngs)
        self.edge_norm = FeatureNorm(EDGE_INPUTS[0], rngs)
        self.node_embedding = GCP(NODE_INPUTS, node, rngs, hidden=node[1], activation=_identity)
        self.edge_embedding = GCP(EDGE_INPUTS, edge, rngs, hidden=edge[1])
        self.layers = Interaction(config, rngs)
        self.final_norm = FeatureNorm(node[0], rngs)
        self.projection = GCP(node, (node[0], 0), rngs, hidden=node[1])

    def __call__(self, graph: Graph) -> jax.Array:
        node_frames = mean_frames(graph)
        nodes, edges = self.embed(graph, node_frames)
        nodes = run(self.layers, nodes, lambda layer, x: layer(x, edges, graph, node_frames))
        return self.projection(self.final_norm(nodes), node_frames).scalars

    def embed(self, graph: Graph, node_frames: jax.Array) -> tuple[Features, Features]:
        """The features of residues and of edges that the layers start from."""
        nodes = self.node_norm(Features(graph.node_scalars, graph.node_vectors))
        edges = self.edge_norm(Features(graph.edge_scalars, graph.edge_vectors))
        return self.node_embedding(nodes, node_frames), self.edge_embedding(edges, graph.frames)


def along_edges(nodes: Features, edges: Features, graph: Graph) -> Features:
    """Per edge the channels of the neighbour, of the edge itself and of the centre."""

    def at(index: jax.Array) -> Features:
        return jax.tree.map(lambda x: x.at[index].get(mode="clip"), nodes)

    return joined(at(graph.rows), edges, at(graph.columns))


def summed(of_edges, graph: Graph):
    """The sum over the edges of each residue as their neighbour, for arrays [E, ...]."""
    # Outside the chain lie those of edges that do not exist: dropped.
    length = len(graph.node_scalars)
    return jax.tree.map(lambda x: jax.ops.segment_sum(x, graph.rows, length), of_edges)


def mean_frames(graph: Graph) -> jax.Array:
    """The mean frame of each residue's edges, [L, 3, 3]; 0 where it has none.

    The original measures a residue's vectors along the frame of each edge and takes the mean of
    the results; measuring is linear, so this is the same.
    """
    total, count = summed((graph.frames, jnp.ones(len(graph.rows))), graph)
    return total / jnp.maximum(count, 1)[:, None, None]


def _identity(x: jax.Array) -> jax.Array:
    return x
