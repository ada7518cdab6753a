"""Plain tensors out of a PyTorch file, without PyTorch and without running what the file says.

A file that `torch.save` wrote since 1.6 is a zip archive: `NAME/data.pkl` holds the structure as a
pickle, and `NAME/data/KEY` the bytes of each storage. A pickle can name any function to call; this
reader resolves the handful that a dictionary of tensors needs and refuses every other.
"""

import collections
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from biomatrix_jax.errors import BadInput

# What a network of floats with integer counters is stored as.
_STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "LongStorage": "<i8"}


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a saved state dict by name.

    Raises:
      BadInput: not such an archive, damaged, or its pickle calls for more than plain tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            tree = _Reader(archive).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, OSError, EOFError) as error:
        raise BadInput(f"{path}: not a PyTorch file of plain tensors ({error})") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path}: damaged PyTorch file ({error})") from error
    if not isinstance(tree, dict) or not all(isinstance(x, np.ndarray) for x in tree.values()):
        raise BadInput(f"{path}: holds something else than a dictionary of tensors")
    return dict(tree)


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile):
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise pickle.UnpicklingError(f"{len(pickles)} entries called data.pkl")
        self._archive = archive
        self._folder = pickles[0].removesuffix("data.pkl")
        super().__init__(archive.open(pickles[0]))

    def load(self) -> Any:
        order = self._folder + "byteorder"
        if order in self._archive.namelist() and self._archive.read(order).strip() != b"little":
            raise pickle.UnpicklingError("written on a big-endian machine")
        return super().load()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _STORAGES:
            return np.dtype(_STORAGES[name])
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no plain tensor needs")

    def persistent_load(self, identity: Any) -> np.ndarray:
        kind, dtype, key, _device, count = identity
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"unknown stored object {kind!r}")
        storage = np.frombuffer(self._archive.read(f"{self._folder}data/{key}"), dtype)
        if len(storage) != count:
            raise pickle.UnpicklingError(f"storage {key} holds {len(storage)} of {count} numbers")
        return storage


def _tensor(storage: np.ndarray, offset: int, shape: tuple, stride: tuple, *_: Any) -> np.ndarray:
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if min((offset, *shape, *stride)) < 0 or (0 not in shape and last >= len(storage)):
        raise pickle.UnpicklingError(f"a tensor of shape {shape} reaches outside its storage")
    if math.prod(shape) > len(storage):  # by steps of 0, which could make it any size
        raise pickle.UnpicklingError(f"a tensor of shape {shape} is larger than its storage")
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides).copy()
