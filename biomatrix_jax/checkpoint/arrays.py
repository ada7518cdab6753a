"""Arrays of a checkpoint piece by piece: none is ever in memory whole.

An array that comes in pieces is written as plain Zarr without compression, each piece a chunk, so
a stack of layers is written layer by layer and never held. What a training run saves is Zarr in an
OCDBT database, compressed, cut into chunks by the same rule. Orbax reads both; so does `Reader`.
"""

import concurrent.futures
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

from biomatrix_jax.blocks import BLOCK_BYTES, Index, block_shape, blocks, write
from biomatrix_jax.checkpoint.damage import explained

WRITERS = 2  # threads: one reads while the other writes


@dataclasses.dataclass(frozen=True)
class Pieces:
    """An array to be saved that is made piece by piece.

    Attributes:
      runs: flat arrays that make up, in C order, the piece at one of the indices that `blocks`
        gives; several threads call it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    runs: Callable[[Index], Iterable[np.ndarray]]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class PiecesHandler(ocp.type_handlers.TypeHandler):
    """Orbax's way to learn how a leaf is written; what it wrote is read as any other array."""

    def typestr(self) -> str:
        return "np.ndarray"

    async def serialize(self, values: Sequence[Pieces], infos, args=None) -> Sequence:
        with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            writing = []
            for value, info in zip(values, infos, strict=True):
                await ts.open(_new_array(info.path, value), create=True)
                chunks = _chunks(Path(info.path), value)
                writing += [pool.submit(_write_chunk, value, *chunk) for chunk in chunks]
            try:
                for chunk in concurrent.futures.as_completed(writing):
                    chunk.result()
            finally:
                pool.shutdown(cancel_futures=True)
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
    """An array without compression: a chunk is a file with its elements and nothing else."""
    return {
        "driver": "zarr",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "shape": value.shape,
            "chunks": block_shape(value.shape, value.dtype.itemsize),
            "compressor": None,
        },
        "dtype": value.dtype.name,
    }


def _chunks(folder: Path, value: Pieces) -> Iterator[tuple[Path, Index]]:
    steps = block_shape(value.shape, value.dtype.itemsize)
    for index in blocks(value.shape, value.dtype.itemsize):
        numbers = (part.start // step for part, step in zip(index, steps, strict=True))
        yield folder / ".".join(map(str, numbers)), index


def _write_chunk(value: Pieces, path: Path, index: Index) -> None:
    itemsize = value.dtype.itemsize
    expected = math.prod(part.stop - part.start for part in index) * itemsize
    whole = math.prod(block_shape(value.shape, itemsize)) * itemsize
    # Not synced to the disk: an import that a power failure cuts short is repeated, and the sizes
    # of its files tell a reader.
    with path.open("wb") as file:
        for run in value.runs(index):
            write(file, run)
        if file.tell() != expected:
            raise ValueError(f"{path}: got {file.tell()} bytes of {expected}")
        # The last chunk along an axis is as long as the others. Written, not truncated to: that
        # sets the size before the data is on the disk.
        file.write(bytes(whole - expected))
