"""Arrays of a checkpoint piece by piece: none is ever in memory whole.

An array that comes in pieces is written as plain Zarr without compression, each piece a chunk, so
a stack of layers is written layer by layer and never held. What a training run saves is Zarr in an
OCDBT database, compressed, cut into chunks by the same rule. Orbax reads both; so does `Reader`.
"""

import collections
import contextlib
import dataclasses
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from biomatrix_jax.blocks import BLOCK_BYTES, Index, block_shape, blocks
from biomatrix_jax.checkpoint.damage import explained

IN_FLIGHT = 4  # pieces read but not yet written


@dataclasses.dataclass(frozen=True)
class Pieces:
    """An array to be saved that is made piece by piece.

    Attributes:
      read: the piece at one of the indices that `blocks` gives.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[Index], np.ndarray]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class PiecesHandler(ocp.type_handlers.TypeHandler):
    """Orbax's way to learn how a leaf is written; what it wrote is read as any other array."""

    def typestr(self) -> str:
        return "np.ndarray"

    async def serialize(self, values: Sequence[Pieces], infos, args=None) -> Sequence:
        # Not synced to the disk piece by piece: an import that a power failure cuts short is
        # repeated, and sizes tell a reader.
        context = ts.Context({"file_io_sync": False, "file_io_concurrency": {"limit": IN_FLIGHT}})
        writing: collections.deque[ts.Future] = collections.deque()
        for value, info in zip(values, infos, strict=True):
            array = await ts.open(_new_array(info.path, value), create=True, context=context)
            for index in blocks(value.shape, value.dtype.itemsize):
                if len(writing) == IN_FLIGHT:
                    await writing.popleft()
                piece = value.read(index)
                writing.append(
                    array[index].write(piece, can_reference_source_data_indefinitely=True)
                )
        while writing:
            await writing.popleft()
        return []

    async def deserialize(self, infos, args=None):
        raise NotImplementedError

    async def metadata(self, infos):
        raise NotImplementedError


def pieces_handler() -> ocp.PyTreeCheckpointHandler:
    """Saves a flat dict of `Pieces`."""
    registry = ocp.type_handlers.create_type_handler_registry(
        (Pieces, PiecesHandler()), (jax.Array, ocp.type_handlers.ArrayHandler())
    )
    return ocp.PyTreeCheckpointHandler(use_ocdbt=False, type_handler_registry=registry)


@contextlib.contextmanager
def no_word_of_databases() -> Iterator[None]:
    """Keeps Orbax from warning that it finds no OCDBT database to merge, where none was to be."""

    def other(record: logging.LogRecord) -> bool:
        return "Skipping merge of OCDBT" not in record.msg

    logger = logging.getLogger("absl")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


def save_args(tree: dict[str, jax.Array]) -> dict[str, ocp.SaveArgs]:
    """How arrays that are in memory are cut into chunks: as `blocks` does."""
    return {
        name: ocp.SaveArgs(
            chunk_byte_size=BLOCK_BYTES, shard_axes=(0,) if np.ndim(leaf) > 2 else ()
        )
        for name, leaf in tree.items()
    }


class Reader:
    """The arrays of one saved item.

    Args:
      folder: that Orbax wrote.
    """

    def __init__(self, folder: Path, names: Iterable[str]):
        self._folder = folder
        context = ts.Context({"cache_pool#index": {"total_bytes_limit": 100_000_000}})
        database = {
            "driver": "ocdbt",
            "base": {"driver": "file", "path": f"{folder}/"},
            "cache_pool": "cache_pool#index",
        }
        is_database = ocp.type_handlers.is_ocdbt_checkpoint(folder)
        self._arrays: dict[str, ts.TensorStore] = {}
        with explained(folder):
            for name in names:
                plain = {"driver": "file", "path": f"{folder / name}/"}
                store = {**database, "path": f"{name}/"} if is_database else plain
                # A chunk that is not there is damage, not zeros.
                spec = {"driver": "zarr", "kvstore": store, "fill_missing_data_reads": False}
                self._arrays[name] = ts.open(spec, open=True, context=context).result()

    def read(self, name: str, index: Index = ()) -> np.ndarray:
        """Part of an array, in the dtype stored; reads the chunks that it touches.

        Raises:
          BadInput: a damaged file, by name.
        """
        with explained(self._folder):
            return self._arrays[name][index].read().result()


def _new_array(path, value: Pieces) -> dict:
    return {
        "driver": "zarr",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "shape": value.shape,
            "chunks": block_shape(value.shape, value.dtype.itemsize),
            "compressor": None,
        },
        "dtype": value.dtype.name,
        # A chunk of zeros is written like any other, so that one that is lost is noticed.
        "store_data_equal_to_fill_value": True,
    }
