"""Files as `torch.save` lays them out, written without torch."""

import collections
import dataclasses
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {"float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "float64": "Double"}


@dataclasses.dataclass(eq=False)
class Name:
    """Pickles as the thing of that name in a module, which need not exist."""

    module: str
    name: str

    def __call__(self):
        raise AssertionError("only its name is ever used")


@dataclasses.dataclass(eq=False)
class Call:
    """Pickles as a call; further parts as `__reduce__` has them: state, list and dict items."""

    function: Any
    args: tuple
    more: tuple = ()

    __call__ = Name.__call__  # to pickle, what is called must look so

    def __reduce__(self):
        return (self.function, self.args, *self.more)


@dataclasses.dataclass(eq=False)
class Storage:
    """Pickles as a reference to bytes beside the pickle; the fields may lie."""

    values: np.ndarray
    kind: Any = None
    key: Any = None
    count: Any = None

    def identity(self, number: int) -> tuple:
        kind = Name("torch", f"{KINDS.get(self.values.dtype.name, 'Float')}Storage")
        key = str(number) if self.key is None else self.key
        count = len(self.values) if self.count is None else self.count
        return "storage", self.kind or kind, key, "cuda:0", count


REBUILD = Name("torch._utils", "_rebuild_tensor_v2")


def view(storage: Storage, offset: Any, shape: Any, strides: Any, *more: Any) -> Call:
    """A tensor on a storage; strides in elements."""
    hooks = collections.OrderedDict()
    return Call(REBUILD, (storage, offset, shape, strides, False, hooks, *more))


def tensor(array: np.ndarray) -> Call:
    """A contiguous tensor with a storage of its own."""
    strides = tuple(step // array.itemsize for step in array.strides)
    return view(Storage(array.reshape(-1)), 0, array.shape, strides)


class _Pickler(pickle._Pickler):
    def __init__(self, file, protocol):
        super().__init__(file, protocol)
        self.dispatch = {**self.dispatch, Name: _Pickler._save_name}
        self.storages = []

    def _save_name(self, name):
        self.write(f"c{name.module}\n{name.name}\n".encode())
        self.memoize(name)

    def persistent_id(self, item):
        if not isinstance(item, Storage):
            return None
        if item not in self.storages:
            self.storages.append(item)
        return item.identity(self.storages.index(item))


def dump(tree: Any, protocol: int = 2) -> tuple[bytes, list[Storage]]:
    """The pickle of a tree, and its storages in the order of their keys."""
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, protocol)
    pickler.dump(tree)
    return buffer.getvalue(), pickler.storages


def write(path: Path, tree: Any, protocol: int = 2, **members: bytes) -> Path:
    """Writes a file; `members` replace or join those that it has, by name without folder."""
    content, storages = dump(tree, protocol)
    data = {f"data/{i}": storage.values.tobytes() for i, storage in enumerate(storages)}
    return write_members(
        path, {"data.pkl": content, "byteorder": b"little", **data, "version": b"3\n", **members}
    )


def write_members(path: Path, members: dict[str, bytes], folder: str = "archive/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(folder + name)
            at = archive.fp.tell() + 30 + len(info.filename) + 4
            padding = -at % 64  # torch aligns data by an extra field in front of it
            info.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
            archive.writestr(info, content)
    return path
