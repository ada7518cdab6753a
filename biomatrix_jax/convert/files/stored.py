"""Tensors in files: what they are and where, without their values."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from biomatrix_jax.blocks import RUN_BYTES
from biomatrix_jax.errors import BadInput
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

    def runs(self, first: int, count: int) -> Iterator[np.ndarray]:
        """`count` bytes of the tensor, of those after its first `first`, as flat arrays of
        RUN_BYTES at most; each is valid until the next.

        For what is looked at once, from start to end, reading costs half of what mapping does.

        Raises:
          BadInput: the file ends before that.
        """
        buffer = np.empty(min(count, RUN_BYTES), np.uint8)
        with open(self.file, "rb", buffering=0) as file:
            file.seek(self.offset + first)
            for start in range(0, count, RUN_BYTES):
                run = buffer[: count - start]
                filled = 0
                while filled < len(run):  # a system may give less than it was asked for
                    if not (got := file.readinto(run[filled:])):
                        raise BadInput(f"{self.file}: cut short while it was read, in {self.name}")
                    filled += got
                yield run.view(self.dtype)
