"""`bm.load`: a decoder from a Hugging Face directory, or from one of our runs or checkpoints."""

from collections.abc import Mapping

import jax
from flax import nnx

from biomatrix_jax.checkpoint import flatten
from biomatrix_jax.config import ComputeConfig, ModelConfig
from biomatrix_jax.model import Decoder
from biomatrix_jax.model.decoder import Constrain, unconstrained


def build(
    config: ModelConfig,
    compute: ComputeConfig,
    flat: Mapping[str, jax.Array],
    constrain: Constrain = unconstrained,
) -> Decoder:
    """A decoder around existing arrays; nothing is initialised.

    Args:
      flat: every parameter by path ("layers.attention.q"), in the shape that the decoder declares.
    """
    graph, state = nnx.split(abstract(config, compute, constrain))
    arrays = [jax.numpy.asarray(flat[path]) for path in flatten(state)]
    return nnx.merge(graph, jax.tree.unflatten(jax.tree.structure(state), arrays))


def abstract(
    config: ModelConfig, compute: ComputeConfig, constrain: Constrain = unconstrained
) -> Decoder:
    """A decoder whose parameters are shapes and dtypes only."""
    return nnx.eval_shape(lambda: Decoder(config, compute, rngs=nnx.Rngs(0), constrain=constrain))
