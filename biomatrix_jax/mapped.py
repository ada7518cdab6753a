"""Arrays that stay in their files."""

import math
import os

import numpy as np


def map_array(
    file: str | os.PathLike,
    dtype: np.dtype,
    shape: tuple[int, ...],
    offset: int,
    strides: tuple[int, ...] | None = None,
) -> np.ndarray:
    """An array mapped from a file, read only: what is looked at is read, when it is looked at.

    Its pages go when the last view of it does.

    Args:
      offset: bytes from the start of the file to the first element.
      strides: bytes from one element to the next along each axis, none negative; None: C order.

    Raises:
      ValueError: the array reaches beyond the end of the file.
    """
    if 0 in shape:
        return np.empty(shape, dtype)
    span = math.prod(shape) * dtype.itemsize
    if strides is not None:
        steps = zip(shape, strides, strict=True)
        span = dtype.itemsize + sum((size - 1) * step for size, step in steps)
    raw = np.memmap(file, np.uint8, "r", offset, (span,))
    return np.ndarray(shape, dtype, raw, strides=strides)
