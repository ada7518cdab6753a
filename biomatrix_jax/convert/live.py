"""A decoder in memory as a source of weights, wherever its pieces lie."""

import functools
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from biomatrix_jax.blocks import Index
from biomatrix_jax.checkpoint import flatten
from biomatrix_jax.convert import rules
from biomatrix_jax.model import Decoder


class LiveSource:
    """A `Source` over a decoder's parameters.

    What lies on this process's devices is read piece by piece. With several processes all of them
    must read the same parts in the same order: what lies on the devices of others is gathered, a
    layer (or a table) at a time.

    Args:
      files: a directory with the tokenizer and chat template that belong to the model, and maybe
        its config.json.
    """

    def __init__(self, model: Decoder, files: Path):
        self.config = model.config
        self.files = files
        self.notes: list[str] = []
        self._arrays = flatten(nnx.state(model, nnx.Param))
        rules.check_ours(self.config, ((p, a.shape) for p, a in self._arrays.items()), "the model")
        # The pieces of one layer are asked for one after the other.
        self._gathered = functools.lru_cache(maxsize=1)(self._gather)

    def specs(self) -> dict[str, jax.ShapeDtypeStruct]:
        return {p: jax.ShapeDtypeStruct(a.shape, a.dtype) for p, a in self._arrays.items()}

    def read(self, path: str, index: Index = ()) -> np.ndarray:
        array = self._arrays[path]
        if array.is_fully_addressable:
            return _piece(array, index)
        if rules.tensors(self.config)[path][0].layer is None:
            return self._gathered(path, None)[index]
        layers, *inner = index or (slice(None),)
        rows = range(self.config.layers)[layers]
        if len(rows) == 1:
            return self._gathered(path, rows[0])[None][(slice(None), *inner)]
        return np.stack([self._gathered(path, row)[tuple(inner)] for row in rows])

    def _gather(self, path: str, layer: int | None) -> np.ndarray:
        from jax.experimental import multihost_utils

        array = self._arrays[path]
        part = array if layer is None else _layer(array, layer)
        return np.asarray(multihost_utils.process_allgather(part, tiled=True))


@jax.jit
def _layer(stack: jax.Array, layer: int) -> jax.Array:
    return jax.lax.dynamic_index_in_dim(stack, layer, keepdims=False)


def _piece(array: jax.Array, index: Index) -> np.ndarray:
    """`array[index]`, from the slices that the devices hold.

    Not by `np.asarray(array)`: JAX keeps what that makes for as long as the array lives, so a model
    would stay in the host's memory beside itself.
    """
    wanted = _bounds(index, array.shape)
    piece = np.empty([stop - start for start, stop in wanted], array.dtype)
    for shard in array.addressable_shards:
        held = _bounds(shard.index, array.shape)
        both = [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(wanted, held, strict=True)]
        if shard.replica_id == 0 and all(start < stop for start, stop in both):
            piece[_within(wanted, both)] = shard.data[_within(held, both)]
    return piece


def _bounds(index: Index, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Start and stop along each axis; `index` may leave trailing axes out."""
    whole = [slice(None)] * (len(shape) - len(index))
    return [part.indices(size)[:2] for part, size in zip((*index, *whole), shape, strict=True)]


def _within(frame: list[tuple[int, int]], part: list[tuple[int, int]]) -> Index:
    """The index of `part` in an array that begins where `frame` does."""
    return tuple(slice(a - c, b - c) for (a, b), (c, _) in zip(part, frame, strict=True))
