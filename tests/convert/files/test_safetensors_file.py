"""One safetensors file, against the safetensors library and against damage."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from biomatrix_jax.convert.files.safetensors_file import read_header, write
from biomatrix_jax.convert.files.stored import Spec
from biomatrix_jax.errors import BadInput

TENSORS = {
    "a": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b.c": np.array([[1.5, -0.0, np.nan]], ml_dtypes.bfloat16),
    "d": np.arange(6, dtype=np.float16).reshape(1, 2, 3),
    "scalar": np.array(7, np.float32),
    "empty": np.zeros((0, 4), np.float32),
}


def raw(header, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_reads_what_the_library_writes(tmp_path):
    save_file(TENSORS, tmp_path / "x", {"format": "pt"})
    stored = read_header(tmp_path / "x")
    assert stored.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        read = stored[name].read()
        assert (read.dtype, read.shape) == (array.dtype, array.shape)
        assert read.tobytes() == array.tobytes()


def test_writes_what_the_library_reads(tmp_path):
    order = sorted(TENSORS, key=lambda name: -TENSORS[name].dtype.itemsize)
    specs = [Spec(name, TENSORS[name].dtype, TENSORS[name].shape) for name in order]
    write(tmp_path / "x", specs, ([TENSORS[name]] for name in order))
    read = load_file(tmp_path / "x")
    assert read.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert read[name].tobytes() == array.tobytes()
    content = (tmp_path / "x").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert (8 + length) % 8 == 0
    assert json.loads(content[8 : 8 + length])["__metadata__"] == {"format": "pt"}


def test_strided_arrays_are_written_in_order(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    write(tmp_path / "x", [Spec("t", array.dtype, array.shape)], [[array]])
    np.testing.assert_array_equal(load_file(tmp_path / "x")["t"], array)


def test_a_tensor_may_come_in_pieces(tmp_path):
    array = np.arange(40, dtype=np.float32).reshape(10, 4)
    pieces = (array[start : start + 3] for start in range(0, 10, 3))
    write(tmp_path / "x", [Spec("t", array.dtype, array.shape)], [pieces])
    np.testing.assert_array_equal(load_file(tmp_path / "x")["t"], array)


ONE, TWO = np.zeros(1, np.float32), np.zeros(2, np.float32)


@pytest.mark.parametrize("parts", [[], [[]], [[ONE]], [[TWO, ONE]], [[np.zeros(2, np.float16)]]])
def test_arrays_must_be_as_announced(tmp_path, parts):
    with pytest.raises(ValueError, match=r"argument|got"):
        write(tmp_path / "x", [Spec("t", np.dtype("f4"), (2,))], parts)


BROKEN = [
    (b"", "truncated"),
    (b"\x05\0\0\0", "truncated"),
    (struct.pack("<Q", 2**63), "truncated"),
    (raw({"a": entry()}, bytes(8))[:-1], "truncated: .* a ends at byte"),
    (raw({"a": entry()}, bytes(8))[:30], "truncated"),
    (raw({"a": entry()}, bytes(9)), "1 bytes after the last tensor"),
    (raw(b"{"), "damaged header"),
    (raw(b"\xff{}"), "damaged header"),
    (raw(b"[]"), "damaged header"),
    (raw(b"[" * 200_000), "damaged header"),
    (raw(b'{"a": 1, "a": 2}'), "damaged header: not JSON: key 'a' is there 2 times"),
    (raw({"a": 3}), "a should have data_offsets, dtype, shape"),
    (raw({"a": {"dtype": "F32", "shape": [2]}}), "a should have"),
    (raw({"a": entry("I64", (1,))}, bytes(8)), "a is stored as 'I64'"),
    (
        raw({"a": entry("I64", (1,)), "b": entry(), "c": entry("F8_E4M3")}, bytes(8)),
        "a is stored as 'I64', c is stored as 'F8_E4M3'; read are F32, F16, BF16",
    ),
    (raw({"a": entry([1])}, bytes(8)), r"a has dtype \[1\]"),
    (raw({"a": entry(shape=(-2,))}, bytes(8)), r"shape \[-2\]"),
    (raw({"a": entry(shape=(2.0,))}, bytes(8)), r"shape \[2.0\]"),
    (raw({"a": entry(shape=(True, 2))}, bytes(8)), r"shape \[True, 2\]"),
    (raw({"a": entry(shape=(2**63, 0), offsets=(0, 0))}), "a has shape"),
    (raw({"a": entry(shape=(2**62, 0), offsets=(0, 0))}), "a has shape"),  # numpy has no such
    (raw({"a": entry(shape=(2**62, 2**62))}, bytes(8)), "a has shape"),
    (raw({"a": entry(shape=(10**4000, 10**4000))}, bytes(8)), "a has shape"),
    (raw(b'{"a": {"dtype": "F32", "shape": [1' + b"0" * 5000 + b"]}}"), "damaged header"),
    (raw({"a": entry(shape=(1,) * 33, offsets=(0, 4))}, bytes(4)), "a has shape"),
    (raw({"a": entry() | {"shape": "22"}}, bytes(8)), "a has shape '22'"),
    (raw({"a": entry(offsets=(0, 8, 9))}, bytes(8)), r"a has offsets \[0, 8, 9\]"),
    (raw({"a": entry(offsets=(-8, 0))}, bytes(8)), r"a has offsets \[-8, 0\]"),
    (raw({"a": entry(offsets=(8, 0))}, bytes(8)), "a is F32 .2., but its offsets hold -8 bytes"),
    (raw({"a": entry(shape=(3,))}, bytes(8)), "a is F32 .3., but its offsets hold 8 bytes"),
    (raw({"a": entry(), "b": entry()}, bytes(8)), "b overlaps"),
    (raw({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), "b overlaps"),
    (raw({"a": entry(offsets=(4, 12))}, bytes(12)), "a leaves a hole"),
    (raw({"a": entry(offsets=(2**62, 2**62 + 8))}, bytes(8)), "a leaves a hole"),
    (raw({"a": entry(offsets=(2**70, 2**70 + 8))}, bytes(8)), "a has offsets"),
    (raw({"a": entry(), "__metadata__": []}, bytes(8)), "__metadata__ should hold strings"),
    (raw({"a": entry(), "__metadata__": {"x": 1}}, bytes(8)), "__metadata__ should hold strings"),
    (raw({"\ud800": entry()}, bytes(8)), "a name in it is no text"),
    (raw({"a": entry(), "__metadata__": {"x": "\udc00"}}, bytes(8)), "a name in it is no text"),
    (raw({"a\nb\x1b[2J": entry("I8")}, bytes(8)), r"a b\\x1b\[2J is stored as 'I8'"),
]


@pytest.mark.parametrize(("content", "message"), BROKEN)
def test_broken_files_are_named(tmp_path, content, message):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as error:
        read_header(path)
    assert str(error.value).startswith(f"{path}: ")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400


def test_no_file(tmp_path):
    with pytest.raises(BadInput, match="not readable"):
        read_header(tmp_path / "none")
    with pytest.raises(BadInput, match="not readable"):
        read_header(tmp_path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutations_are_refused_or_read_in_full(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "x"
    save_file(TENSORS, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(content) - 1))
        content[where] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) - 20, len(content)))])
    try:
        stored = read_header(path)
    except BadInput:
        return
    for tensor in stored.values():
        assert tensor.read().shape == tensor.shape
