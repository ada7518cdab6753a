"""Tensors in a file of `torch.save`, without PyTorch and without running what the file says.

Since 1.6 such a file is an uncompressed zip archive: `NAME/data.pkl` holds the structure as a
pickle, `NAME/data/KEY` the bytes of each storage, `NAME/byteorder` what it says. A tensor is a view
of a storage: an offset, and a stride per axis. The structure is read as a description
(`pickle_tree`) in which only plain tensors, parameters and dictionaries mean something here; what
asks for more is refused, also where `torch.load(weights_only=True)` would build it.
"""

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.mapped import map_array
from biomatrix_jax.torch_file.pickle_tree import MOST_BYTES, Call, Name, Reference, read_tree
from biomatrix_jax.torch_file.zip_members import Member, find_members

DTYPES = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.LongStorage": np.dtype("<i8"),
}
TENSOR, PARAMETER = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"
KNOWN = {TENSOR, PARAMETER, "collections.OrderedDict", *DTYPES}
WRAPPER = "state_dict"
MOST_AXES = 32
MOST_EMPTY = 1 << 40  # the product of an empty tensor's other sizes
MOST_COPIES = 4
REMEDY = (
    "load it with torch.load(FILE, weights_only=True) and save the tensors, made contiguous, with "
    "safetensors.torch.save_file"
)
PLAIN = "make plain tensors of it in PyTorch and save those"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A tensor in a file, without its values.

    Attributes:
      offset: bytes from the start of the file to the first element.
      strides: bytes from one element to the next along each axis; None: C order.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    file: Path
    offset: int
    strides: tuple[int, ...] | None

    def read(self) -> np.ndarray:
        """The tensor, mapped from the file and read only."""
        return map_array(self.file, self.dtype, self.shape, self.offset, self.strides)


def read_header(path: str | os.PathLike, part: str | None = None) -> dict[str, Entry]:
    """The tensors of a saved state dict by name, or of one under the key `state_dict`.

    No tensor is held in memory, but the file is read once: the archive has a checksum of each
    storage (unless torch was told to leave them out), and a wrong one is found here.

    Args:
      part: the key under which a checkpoint of training has the state dict; what lies beside it
        (an optimizer's state, of whatever types) is not looked at. None: nothing else is there.

    Raises:
      BadInput: not such a file, damaged, or it holds more than plain tensors; names file and key.
    """
    path = Path(path)
    _check_form(path)
    members = find_members(path)
    folder = _folder(path, members)
    for member in members.values():
        member.check_sum()
    order = members.get(f"{folder}byteorder")
    if order and (order.size > 16 or order.read().strip() != b"little"):
        raise BadInput(f"{path}: written on a big-endian machine: {REMEDY}")
    structure = members[f"{folder}data.pkl"]
    if structure.size > MOST_BYTES:
        raise BadInput(
            f"{path}: {structure.name} has {structure.size} bytes; read are {MOST_BYTES}"
        )
    try:
        tree, names = read_tree(structure.read())
    except ValueError as error:
        raise BadInput(
            f"{path}: not a file of plain tensors: {_shown(str(error))}: {REMEDY}"
        ) from None
    reader = _Reader(path, members, folder)
    state = _state(path, tree) if part is None else _part(path, tree, part)
    entries = {_key(path, key): reader.entry(key, x) for key, x in state.items()}
    if part is None and (unknown := names - KNOWN):
        raise BadInput(f"{path}: it {_asks_for(min(unknown))}: {PLAIN}")
    return entries


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Copies of the tensors that `read_header` finds; raises as that does, and where views of the
    same storages add up to many times the file."""
    entries = read_header(path)
    total = sum(math.prod(entry.shape) * entry.dtype.itemsize for entry in entries.values())
    if total > MOST_COPIES * os.path.getsize(path):
        raise BadInput(f"{path}: {total} bytes of tensors that overlap: {REMEDY}")
    return {name: entry.read().copy() for name, entry in entries.items()}


def _check_form(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise BadInput(f"{path}: not readable ({error.strerror})") from None
    if start[:1] == b"\x80":  # a bare pickle, by its first instruction
        raise BadInput(f"{path}: in the form before PyTorch 1.6, not a zip archive: {REMEDY}")


def _folder(path: Path, members: dict[str, Member]) -> str:
    pickles = [name for name in members if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise BadInput(f"{path}: not a PyTorch file: {len(pickles)} members called data.pkl")
    return pickles[0].removesuffix("data.pkl")


def _state(path: Path, tree: Any) -> dict[Any, Any]:
    """The state dict itself."""
    if type(tree) is dict and type(tree.get(WRAPPER)) is dict:
        plain = (str, int, float, bool, type(None))  # an epoch, a step, a version
        others = [key for key, value in tree.items() if key != WRAPPER and type(value) not in plain]
        if others:
            raise BadInput(
                f"{path}: beside {WRAPPER} it holds {_shown(others[0])}, which is no weight: "
                f"save its {WRAPPER} alone"
            )
        tree = tree[WRAPPER]
    if type(tree) is Call:
        function = tree.function.text if type(tree.function) is Name else "a function"
        raise BadInput(
            f"{path}: holds no dictionary of tensors; it {_asks_for(function)}: for a whole model, "
            "save model.state_dict()"
        )
    if type(tree) is not dict:
        raise BadInput(f"{path}: holds something else than a dictionary of tensors")
    return tree


def _part(path: Path, tree: Any, part: str) -> dict[Any, Any]:
    state = tree.get(part) if type(tree) is dict else None
    if type(state) is not dict:
        raise BadInput(f"{path}: no dictionary {part} in it: not such a checkpoint")
    return state


def _key(path: Path, key: Any) -> str:
    if type(key) is not str or not key.isprintable():
        raise BadInput(f"{path}: a tensor is called {_shown(key)}, which is no name")
    return key


class _Reader:
    """Takes the descriptions of tensors for what they are in the archive."""

    def __init__(self, path: Path, members: dict[str, Member], folder: str):
        self._path, self._members, self._folder = path, members, folder

    def entry(self, key: str, value: Any) -> Entry:
        try:
            return self._tensor(value)
        except ValueError as error:
            raise BadInput(f"{self._path}: {_shown(key)}: {error}") from None

    def _tensor(self, value: Any) -> Entry:
        name, arguments = _called(value)
        if name == PARAMETER:
            if len(arguments) != 3 or arguments[2] != {}:
                raise ValueError(f"a parameter with more than its tensor: {PLAIN}")
            name, arguments = _called(arguments[0])
        if name != TENSOR:
            raise ValueError(f"{_asks_for(name)}: {PLAIN}")
        # Requiring a gradient means nothing here. A seventh argument would: a view that negates.
        if len(arguments) != 6 or arguments[5] != {}:
            raise ValueError(f"a tensor with hooks or other attributes: {REMEDY}")
        storage, start, shape, strides = arguments[:4]
        if not (_naturals((start,)) and _naturals(shape) and _naturals(strides)):
            raise ValueError("damaged: its shape, strides or offset are no natural numbers")
        if not len(shape) == len(strides) <= MOST_AXES:
            raise ValueError(f"damaged: {len(shape)} axes, {len(strides)} strides")
        dtype, member, count = self._storage(storage)
        steps = [step if size > 1 else 0 for size, step in zip(shape, strides, strict=True)]
        last = start + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
        if start > count or (0 not in shape and last >= count):
            raise ValueError(f"a tensor of shape {_shown(shape)} reaches outside its storage")
        # By steps of 0, which could make it any size; one without elements has sizes all the same.
        if math.prod(max(size, 1) for size in shape) > (MOST_EMPTY if 0 in shape else count):
            raise ValueError(
                f"a tensor of shape {_shown(shape)} is larger than its storage: {REMEDY}"
            )
        offset = member.offset + start * dtype.itemsize
        return Entry(dtype, shape, member.file, offset, _byte_strides(shape, steps, dtype))

    def _storage(self, value: Any) -> tuple[np.dtype, Member, int]:
        identity = value.identity if type(value) is Reference else None
        if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
            raise ValueError("damaged: a tensor without a storage")
        _, kind, key, _device, count = identity
        if type(kind) is not Name or type(key) is not str or not _naturals((count,)):
            raise ValueError("damaged: a storage without type, key or size")
        if kind.text not in DTYPES:
            kinds = ", ".join(name.removeprefix("torch.") for name in DTYPES)
            raise ValueError(f"stored as {_shown(kind.text)}; read are {kinds}: {PLAIN}")
        member = self._members.get(f"{self._folder}data/{key}")
        if member is None:
            raise ValueError(f"damaged: its storage {_shown(key)} is not there")
        dtype = DTYPES[kind.text]
        if member.size != count * dtype.itemsize:
            raise ValueError(
                f"damaged: its storage {_shown(key)} holds {member.size} bytes instead of "
                f"{_shown(count)} numbers"
            )
        return dtype, member, count


def _called(value: Any) -> tuple[str, tuple]:
    """The function and arguments of a call that the pickle leaves at that."""
    if type(value) is not Call:
        raise ValueError(f"not a tensor but {type(value).__name__}")
    if type(value.function) is not Name or type(value.parts[0]) is not tuple:
        raise ValueError("damaged: a call of no function")
    if value.function.text in KNOWN and len(value.parts) > 1:
        raise ValueError(f"a tensor that is changed after it was made: {PLAIN}")
    return value.function.text, value.parts[0]


def _byte_strides(
    shape: tuple[int, ...], steps: list[int], dtype: np.dtype
) -> tuple[int, ...] | None:
    """Strides in bytes, None for C order; an axis of one element has no stride (0)."""
    expected, size_behind = [], 1
    for size in reversed(shape):
        expected.append(size_behind if size > 1 else 0)
        size_behind *= size
    if 0 in shape or steps == expected[::-1]:
        return None
    return tuple(step * dtype.itemsize for step in steps)


def _naturals(values: Any) -> bool:
    return type(values) is tuple and all(type(v) is int and v >= 0 for v in values)


def _asks_for(name: str) -> str:
    return f"asks for {_shown(name)}, which no plain tensor needs"


def _shown(value: Any) -> str:
    """For a message: one short line of a text, a number or a tuple of numbers."""
    text = value if type(value) is str and value.isprintable() else ascii(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
