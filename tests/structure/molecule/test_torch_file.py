import collections
import io
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule.torch_file import read_tensors


class Stored:
    """Stands for torch's storage in the pickles made here."""

    def __init__(self, values: np.ndarray, kind: type):
        self.values, self.kind = values, kind


class Call:
    """Pickles as a call of `function` with `args`."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.fixture
def torch(monkeypatch):
    """Names that pickle the way torch's own do; torch itself need not be installed."""
    top, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage", "BoolStorage"):
        setattr(top, name, type(name, (), {"__module__": "torch"}))

    def rebuild():
        raise AssertionError("only its name is ever used")

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    rebuild.__name__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    monkeypatch.setitem(sys.modules, "torch", top)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return types.SimpleNamespace(
        FloatStorage=top.FloatStorage, BoolStorage=top.BoolStorage, rebuild=rebuild
    )


def write(path, tree, claimed=None, byteorder="little"):
    storages: list[Stored] = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if not isinstance(item, Stored):
                return None
            storages.append(item)
            count = len(item.values) if claimed is None else claimed
            return "storage", item.kind, str(len(storages) - 1), "cuda:0", count

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(tree)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", buffer.getvalue())
        archive.writestr("archive/byteorder", byteorder)
        for i, item in enumerate(storages):
            archive.writestr(f"archive/data/{i}", item.values.tobytes())
    return path


def tensor(torch, values, offset, shape, stride, kind=None):
    stored = Stored(np.asarray(values, np.float32), kind or torch.FloatStorage)
    return Call(torch.rebuild, stored, offset, shape, stride, False, collections.OrderedDict())


def test_offsets_strides_and_scalars(torch, tmp_path):
    tree = collections.OrderedDict(
        matrix=tensor(torch, range(10), 2, (2, 3), (3, 1)),
        transposed=tensor(torch, range(6), 0, (3, 2), (1, 3)),
        scalar=tensor(torch, [7], 0, (), ()),
    )
    found = read_tensors(write(tmp_path / "w.bin", tree))
    assert found["matrix"].tolist() == [[2, 3, 4], [5, 6, 7]]
    assert found["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["scalar"].shape == ()
    assert found["scalar"].dtype == np.float32
    found["matrix"][0, 0] = 9  # A copy: writable, and the archive stays as it was.


def test_no_function_of_the_file_is_called(torch, tmp_path):
    target = tmp_path / "made-by-the-pickle"
    path = write(tmp_path / "w.bin", {"x": Call(os.mkdir, str(target))})
    with pytest.raises(BadInput, match=r"it asks for posix\.mkdir"):
        read_tensors(path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("offset", "shape", "stride"), [(0, (5,), (1,)), (2, (2, 2), (2, 1)), (0, (2,), (-1,))]
)
def test_tensors_stay_inside_their_storage(torch, tmp_path, offset, shape, stride):
    tree = {"x": tensor(torch, range(4), offset, shape, stride)}
    with pytest.raises(BadInput, match="outside its storage"):
        read_tensors(write(tmp_path / "w.bin", tree))


def test_no_tensor_is_larger_than_its_storage(torch, tmp_path):
    tree = {"x": tensor(torch, range(4), 0, (10**13,), (0,))}
    with pytest.raises(BadInput, match="larger than its storage"):
        read_tensors(write(tmp_path / "w.bin", tree))


def test_storage_of_another_length_or_kind(torch, tmp_path):
    tree = {"x": tensor(torch, range(4), 0, (4,), (1,))}
    with pytest.raises(BadInput, match="holds 4 of 5"):
        read_tensors(write(tmp_path / "a.bin", tree, claimed=5))
    with pytest.raises(BadInput, match="big-endian"):
        read_tensors(write(tmp_path / "b.bin", tree, byteorder="big"))
    other = {"x": tensor(torch, range(4), 0, (4,), (1,), torch.BoolStorage)}
    with pytest.raises(BadInput, match=r"torch\.BoolStorage"):
        read_tensors(write(tmp_path / "c.bin", other))


def test_what_is_not_a_state_dict(tmp_path):
    for name, tree in (("list", [1]), ("nested", {"epoch": 3})):
        with pytest.raises(BadInput, match="something else"):
            read_tensors(write(tmp_path / name, tree))


def test_what_is_not_a_torch_file(torch, tmp_path):
    good = write(tmp_path / "w.bin", {"x": tensor(torch, range(4), 0, (4,), (1,))}).read_bytes()
    for content in (b"", b"pickle", good[: len(good) // 2]):
        path = tmp_path / "bad.bin"
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"bad\.bin: not a PyTorch file"):
            read_tensors(path)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(BadInput, match=r"0 entries called data\.pkl"):
        read_tensors(tmp_path / "empty.zip")
