"""Tensors in files: what they are and where, without their values."""

import dataclasses
import math
from pathlib import Path

import numpy as np


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
    """A tensor in a file, in C order."""

    file: Path
    offset: int  # bytes from the start of the file

    def read(self) -> np.ndarray:
        """The tensor, mapped from the file and read only.

        Only what is then looked at is read from the disk, and its pages go when the last view does.
        """
        if not self.nbytes:
            return np.empty(self.shape, self.dtype)
        raw = np.memmap(self.file, np.uint8, "r", self.offset, (self.nbytes,))
        return raw.view(self.dtype).reshape(self.shape)
