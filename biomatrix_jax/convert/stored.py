"""Tensors in files: what they are and where, without their values."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from biomatrix_jax.mapped import map_array


@dataclasses.dataclass(frozen=True)
class Spec:
    """A tensor without its values."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class Stored(Spec):
    """A tensor in a file.

    Attributes:
      offset: bytes from the start of the file to the first element.
      strides: bytes from one element to the next along each axis; None: C order.
    """

    file: Path
    offset: int
    strides: tuple[int, ...] | None = None

    def read(self) -> np.ndarray:
        """The tensor, mapped from the file and read only.

        Only what is then looked at is read from the disk, and its pages go when the last view does.
        """
        return map_array(self.file, self.dtype, self.shape, self.offset, self.strides)
