"""Arrays in pieces of a few megabytes: what passes through memory, and how checkpoints lie on disk.

One rule for both, so that a piece that is read or written is one chunk of a file, or part of one.
"""

import itertools
import math
from collections.abc import Iterator
from typing import IO

import numpy as np

BLOCK_BYTES = 4 << 20
RUN_BYTES = 512 << 10  # read, looked at and written in turn, this much stays in a core's cache
# Linux writes faster in such parts than in larger ones, for which it looks for large free pages.
_WRITE_BYTES = 128 << 10

Index = tuple[slice, ...]


def block_shape(shape: tuple[int, ...], itemsize: int, limit: int = BLOCK_BYTES) -> tuple[int, ...]:
    """The shape of the pieces that an array is cut into: at most `limit` bytes where that is
    possible, all alike but for the last along an axis.

    Pieces follow each other in C order: leading axes are cut to 1, one axis into equal runs, the
    rest is whole. Arrays of more than two axes are stacks of layers here; no piece has two of them.
    """
    pieces = list(shape)
    for axis, size in enumerate(shape):
        step = math.prod(shape[axis + 1 :]) * itemsize  # bytes of one along this axis
        by_layer = axis == 0 and len(shape) > 2
        if not by_layer and size * step <= limit:
            break
        most = 1 if by_layer else max(1, limit // step)
        pieces[axis] = math.ceil(size / math.ceil(size / most))
        if most > 1:
            break
    return tuple(pieces)


def blocks(shape: tuple[int, ...], itemsize: int, limit: int = BLOCK_BYTES) -> Iterator[Index]:
    """The indices of an array's pieces (see `block_shape`), in C order."""
    steps = block_shape(shape, itemsize, limit)
    runs = [
        [slice(start, min(start + step, size)) for start in range(0, size, max(1, step))]
        for size, step in zip(shape, steps, strict=True)
    ]
    yield from itertools.product(*runs)


def write(file: IO[bytes], array: np.ndarray) -> None:
    """Writes the elements of an array in C order."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for start in range(0, len(content), _WRITE_BYTES):
        file.write(content[start : start + _WRITE_BYTES])
