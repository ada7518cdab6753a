"""Values of weights: comparing bits, changing dtypes, finding what is not a number."""

import os
from typing import Any

import numpy as np

from biomatrix_jax.blocks import RUN_BYTES
from biomatrix_jax.convert.files.safetensors_file import CODES
from biomatrix_jax.errors import BadInput, some

# Bits of infinity: as integers, NaN lies above it and finite numbers below.
_INFINITY = {"float32": 0x7F800000, "float16": 0x7C00, "bfloat16": 0x7F80}


def find_dtype(dtype: Any) -> np.dtype:
    """A dtype that weights may have, by name ("bfloat16") or as numpy and JAX write it."""
    known = {dtype.name: dtype for dtype in CODES}
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if name not in known:
        raise BadInput(f"dtype {name!r}: known are {', '.join(known)}")
    return known[name]


def cast(array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Rounds an array to `dtype`, to nearest even.

    Raises:
      BadInput: a finite value is too large for it.
    """
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        rounded = array.astype(dtype)
    if np.isinf(rounded).sum() > np.isinf(array).sum():
        raise BadInput(f"{name} has values too large for {dtype.name}: choose another dtype")
    return rounded


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays of one dtype hold the same bits (NaN equals itself, -0 is not 0)."""
    bits = np.dtype(f"u{a.dtype.itemsize}")
    return a.shape == b.shape and bool(np.array_equal(a.view(bits), b.view(bits)))


class Finite:
    """Takes note of tensors that hold NaN or infinities: weights of a run that diverged, mostly."""

    def __init__(self):
        self._odd: dict[str, None] = {}  # names, in order

    def look(self, name: str, values: np.ndarray) -> None:
        if not all_finite(values):
            self._odd[name] = None

    def notes(self, where: str | os.PathLike) -> list[str]:
        if not self._odd:
            return []
        return [f"{where}: warning: NaN or infinite values in {some(list(self._odd))}"]


def all_finite(array: np.ndarray) -> bool:
    """Whether no value is NaN or infinite.

    Looks at the bits as integers, at the speed of memory: signed, so that all negative numbers are
    small, then unsigned, where the sign is the highest bit.
    """
    size = array.dtype.itemsize
    infinity = _INFINITY[array.dtype.name]
    flat = np.ascontiguousarray(array).reshape(-1)
    for start in range(0, len(flat), RUN_BYTES // size):
        part = flat[start : start + RUN_BYTES // size]
        if part.view(f"i{size}").max() >= infinity:
            return False
        if part.view(f"u{size}").max() >= infinity + (1 << (8 * size - 1)):
            return False
    return True
