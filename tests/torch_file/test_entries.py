"""Files of torch.save: by a writer of our own, by torch itself where it is, and damaged ones."""

import collections
import os
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomatrix_jax.errors import BadInput
from biomatrix_jax.torch_file import read_header, read_tensors
from tests.torch_writer import (
    REBUILD,
    Call,
    Name,
    Storage,
    dump,
    tensor,
    view,
    write,
    write_members,
)

SIX = np.arange(6, dtype=np.float32)
ARRAYS = {
    "a": np.array([[1.5, -0.0, np.nan], [np.inf, 3e-39, 7]], np.float32),
    "b": np.array([1.5, -0.0, np.nan, -np.inf], ml_dtypes.bfloat16),
    "c": np.array([[[1], [65504]]], np.float16),
    "empty": np.zeros((0, 4), np.float32),
    "scalar": np.array(2.5, np.float64),
}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        assert found[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict, lambda x: {"state_dict": x}])
def test_every_dtype_to_the_bit(tmp_path, kind):
    path = write(tmp_path / "w.bin", kind({k: tensor(a) for k, a in ARRAYS.items()}))
    assert_same_bits(read_tensors(path), ARRAYS)


def test_entries_say_where_the_bytes_are(tmp_path):
    path = write(tmp_path / "w.bin", {k: tensor(a) for k, a in ARRAYS.items()})
    content = path.read_bytes()
    for name, entry in read_header(path).items():
        size = ARRAYS[name].nbytes
        assert entry.file == path
        assert entry.strides is None
        assert content[entry.offset : entry.offset + size] == ARRAYS[name].tobytes()
        assert not size or not entry.read().flags.writeable
        assert entry.offset % 64 == 0


def test_offsets_strides_and_scalars(tmp_path):
    tree = collections.OrderedDict(
        matrix=view(Storage(np.arange(10, dtype=np.float32)), 2, (2, 3), (3, 1)),
        transposed=view(Storage(SIX), 0, (3, 2), (1, 3)),
        column=view(Storage(SIX), 1, (2, 1), (3, 99)),
        every_second=view(Storage(SIX), 1, (3,), (2,)),
        repeated=view(Storage(SIX), 3, (2, 3), (0, 1)),
        scalar=view(Storage(np.float32([7])), 0, (), ()),
    )
    found = read_tensors(write(tmp_path / "w.bin", tree))
    assert found["matrix"].tolist() == [[2, 3, 4], [5, 6, 7]]
    assert found["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["column"].tolist() == [[1], [4]]
    assert found["every_second"].tolist() == [1, 3, 5]
    assert found["repeated"].tolist() == [[3, 4, 5], [3, 4, 5]]
    assert found["scalar"].shape == ()
    assert found["transposed"].flags.c_contiguous
    found["matrix"][0, 0] = 9  # A copy: writable, and the archive stays as it was.
    entries = read_header(tmp_path / "w.bin")
    assert entries["matrix"].read()[0, 0] == 2
    assert [name for name, entry in entries.items() if entry.strides is None] == [
        "matrix",
        "scalar",
    ]


def test_tied_tensors_lie_in_one_place(tmp_path):
    storage = Storage(SIX)
    tree = {"x": view(storage, 0, (2, 3), (3, 1)), "y": view(storage, 0, (2, 3), (3, 1))}
    entries = read_header(write(tmp_path / "w.bin", tree))
    assert entries["x"] == entries["y"]
    with zipfile.ZipFile(tmp_path / "w.bin") as archive:
        assert sum("/data/" in name for name in archive.namelist()) == 1


def test_views_may_not_add_up_to_any_size(tmp_path):
    storage = Storage(np.zeros(10_000, np.float32))
    tree = {str(i): view(storage, i, (9000,), (1,)) for i in range(900)}
    path = write(tmp_path / "w.bin", tree)
    assert len(read_header(path)) == 900  # only places: nothing is held
    with pytest.raises(BadInput, match="32400000 bytes of tensors that overlap"):
        read_tensors(path)


def test_a_state_dict_with_attributes_and_parameters(tmp_path):
    parameter = Name("torch._utils", "_rebuild_parameter")
    value = Call(parameter, (tensor(SIX), True, collections.OrderedDict()))
    state = collections.OrderedDict(x=value)
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    assert_same_bits(read_tensors(write(tmp_path / "w.bin", state)), {"x": SIX})


def test_the_weights_in_a_checkpoint_of_training(tmp_path):
    """Beside them lies what only an optimizer's library could build, and is not looked at."""
    other = Call(Name("optimizer.module", "State"), (1, 2))
    tree = {"epoch": 3, "weights": {"x": tensor(SIX)}, "optimizer": {0: other}}
    path = write(tmp_path / "w.pth", tree)
    found = read_header(path, "weights")
    assert_same_bits({name: entry.read() for name, entry in found.items()}, {"x": SIX})
    with pytest.raises(BadInput, match="no dictionary model in it"):
        read_header(path, "model")
    with pytest.raises(BadInput, match="epoch: not a tensor"):
        read_header(path)
    with pytest.raises(BadInput, match=r"optimizer\.module\.State"):
        read_header(write(tmp_path / "v.pth", {"weights": {"x": other}}), "weights")


def test_a_file_without_byte_order_or_checksums(tmp_path):
    storage = Storage(SIX)
    content, _ = dump({"x": view(storage, 0, (6,), (1,))})
    path = write_members(tmp_path / "w.bin", {"data.pkl": content, "data/0": SIX.tobytes()})
    damaged = bytearray(path.read_bytes())
    for at in _places(damaged, b"PK\x01\x02"):
        damaged[at + 16 : at + 20] = bytes(4)  # torch.serialization.set_crc32_options(False)
    path.write_bytes(damaged)
    assert_same_bits(read_tensors(path), {"x": SIX})


def _places(content, what):
    return [i for i in range(len(content)) if content[i : i + len(what)] == what]


EVIL = {
    "call": lambda target: Call(os.mkdir, (target,)),
    "eval": lambda target: Call(eval, (f"__import__('os').mkdir({target!r})",)),
    "system": lambda target: Call(Name("os", "system"), (f"mkdir {target}",)),
    "as a storage": lambda target: view(
        Storage(SIX, kind=Call(os.mkdir, (target,))), 0, (6,), (1,)
    ),
    "in the shape": lambda target: view(Storage(SIX), 0, Call(os.mkdir, (target,)), (1,)),
    "more arguments": lambda target: view(
        Storage(SIX), 0, (6,), (1,), {"x": Call(os.mkdir, (target,))}
    ),
    "as hooks": lambda target: Call(
        REBUILD, (Storage(SIX), 0, (6,), (1,), False, {"x": Call(os.mkdir, (target,))})
    ),
    "a called call": lambda target: Call(Call(Name("builtins", "getattr"), (1, "x")), (target,)),
    "a called tensor": lambda target: Call(tensor(SIX), (target,)),
    "state": lambda target: Call(REBUILD, tensor(SIX).args, (Call(os.mkdir, (target,)),)),
    "list items": lambda target: Call(REBUILD, tensor(SIX).args, (None, iter([1, 2]))),
    "dict items": lambda target: Call(REBUILD, tensor(SIX).args, (None, None, iter([("a", 1)]))),
    "an ordered dictionary of something": lambda target: Call(
        Name("collections", "OrderedDict"), ([("a", target)],)
    ),
}


@pytest.mark.parametrize("name", EVIL)
def test_no_function_of_the_file_is_called(tmp_path, name):
    target = tmp_path / "made-by-the-pickle"
    path = write(tmp_path / "w.bin", {"good": tensor(SIX), "x": EVIL[name](str(target))})
    with pytest.raises(BadInput, match=r"w\.bin: x: ") as error:
        read_header(path)
    assert "\n" not in str(error.value)
    assert not target.exists()


def test_what_is_asked_for_is_named(tmp_path):
    path = write(tmp_path / "w.bin", {"x": Call(Name("torch._utils", "_rebuild_qtensor"), (1, 2))})
    with pytest.raises(BadInput, match=r"x: asks for torch\._utils\._rebuild_qtensor, which no"):
        read_header(path)


def test_names_outside_of_the_tensors_count_too(tmp_path):
    state = collections.OrderedDict(x=tensor(SIX))
    state._metadata = Call(os.mkdir, (str(tmp_path / "made"),))
    with pytest.raises(BadInput, match=r"w\.bin: it asks for \w+\.mkdir"):
        read_header(write(tmp_path / "w.bin", state))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (7,), (1,)), (2, (2, 3), (3, 1)), (0, (2, 2), (5, 1)), (7, (0,), (1,)), (6, (), ()),
     (10**30, (1,), (1,)), (0, (10**30,), (1,)), (0, (2,), (10**30,))],
)  # fmt: skip
def test_tensors_stay_inside_their_storage(tmp_path, offset, shape, strides):
    tree = {"x": view(Storage(SIX), offset, shape, strides)}
    with pytest.raises(BadInput, match=r"x: a tensor of shape .* reaches outside its storage"):
        read_header(write(tmp_path / "w.bin", tree))


@pytest.mark.parametrize(
    ("shape", "strides"), [((10**13,), (0,)), ((2, 4), (0, 1)), ((0, 10**13), (1, 1))]
)
def test_no_tensor_is_larger_than_its_storage(tmp_path, shape, strides):
    tree = {"x": view(Storage(SIX), 0, shape, strides)}
    with pytest.raises(BadInput, match=r"x: a tensor of shape .* is larger than its storage"):
        read_header(write(tmp_path / "w.bin", tree))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (view(Storage(SIX), 0, (6,), (-1,)), "no natural numbers"),
        (view(Storage(SIX), True, (6,), (1,)), "no natural numbers"),
        (view(Storage(SIX), 0, (6.0,), (1,)), "no natural numbers"),
        (view(Storage(SIX), 0, [6], (1,)), "no natural numbers"),
        (view(Storage(SIX), None, (6,), (1,)), "no natural numbers"),
        (view(Storage(SIX), 0, (2, 3), (1,)), "2 axes, 1 strides"),
        (view(Storage(SIX), 0, (1,) * 33, (1,) * 33), "33 axes"),
        (view("storage", 0, (6,), (1,)), "without a storage"),
        (view(Storage(SIX, count=7), 0, (6,), (1,)), "holds 24 bytes instead of 7 numbers"),
        (view(Storage(SIX, count=2**200), 0, (6,), (1,)), "holds 24 bytes instead of"),
        (view(Storage(SIX, count="6"), 0, (6,), (1,)), "without type, key or size"),
        (view(Storage(SIX, key="../../data.pkl"), 0, (6,), (1,)), r"storage \.\..* is not there"),
        (view(Storage(SIX, key=0), 0, (6,), (1,)), "without type, key or size"),
        (view(Storage(SIX, kind="FloatStorage"), 0, (6,), (1,)), "without type, key or size"),
        (view(Storage(SIX, kind=Name("torch", "BoolStorage")), 0, (6,), (1,)),
         "stored as torch.BoolStorage; read are FloatStorage"),
        (view(Storage(SIX, kind=Name("torch.storage", "UntypedStorage")), 0, (6,), (1,)),
         "stored as torch.storage.UntypedStorage"),
        (view(Storage(SIX), 0, (6,), (1,), {"neg": True}), "other attributes"),
        (Call(REBUILD, (Storage(SIX), 0, (6,), (1,))), "other attributes"),
        (Call(Name("torch._utils", "_rebuild_parameter"), (tensor(SIX), True, {"a": 1})),
         "more than its tensor"),
        (Call(Name("torch._utils", "_rebuild_parameter"), (3, True, {})), "not a tensor but int"),
        (Storage(SIX), "not a tensor but Reference"),
        (REBUILD, "not a tensor but Name"),
        ({"y": tensor(SIX)}, "not a tensor but dict"),
        (SIX.tolist(), "not a tensor but list"),
    ],
)  # fmt: skip
def test_what_is_no_tensor_is_named(tmp_path, value, message):
    path = write(tmp_path / "w.bin", {"layer.weight": value})
    with pytest.raises(BadInput, match=message) as error:
        read_header(path)
    assert str(error.value).startswith(f"{path}: layer.weight: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([1], "something else than a dictionary"),
        (None, "something else than a dictionary"),
        ({"epoch": 3}, "epoch: not a tensor but int"),
        ({3: tensor(SIX)}, "a tensor is called 3"),
        ({"a\nb\x1b[2J": tensor(SIX)}, r"a tensor is called 'a\\nb"),
        ({"state_dict": {"x": tensor(SIX)}, "optimizer": {}}, "beside state_dict it holds optim"),
        ({"state_dict": tensor(SIX), "x": 3}, "x: not a tensor but int"),
        (Call(Name("models", "Net"), (), ({"x": tensor(SIX)},)),
         r"asks for models\.Net.* save model\.state_dict"),
    ],
)  # fmt: skip
def test_what_is_not_a_state_dict(tmp_path, tree, message):
    with pytest.raises(BadInput, match=message) as error:
        read_header(write(tmp_path / "w.bin", tree))
    assert "\n" not in str(error.value)


def test_a_training_checkpoint_of_weights_and_numbers(tmp_path):
    tree = {"state_dict": {"x": tensor(SIX)}, "epoch": 3, "by": "us"}
    assert_same_bits(read_tensors(write(tmp_path / "w.bin", tree)), {"x": SIX})


def test_other_forms(tmp_path):
    tree = {"x": tensor(SIX)}
    with pytest.raises(BadInput, match=r"big-endian.*save_file"):
        read_header(write(tmp_path / "a.bin", tree, byteorder=b"big"))
    with pytest.raises(BadInput, match=r"protocol 4; read is 2: load it with torch\.load"):
        read_header(write(tmp_path / "b.bin", tree, protocol=4))
    # The magic number with which every file began before 1.6.
    (tmp_path / "c.bin").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + bytes(99))
    with pytest.raises(BadInput, match=r"before PyTorch 1\.6.*torch\.load\(FILE.*save_file"):
        read_header(tmp_path / "c.bin")
    content, _ = dump(tree)
    members = {"data.pkl": content + bytes(9 << 20), "data/0": SIX.tobytes()}
    with pytest.raises(BadInput, match=r"data\.pkl has \d+ bytes; read are"):
        read_header(write_members(tmp_path / "d.bin", members))


def test_messages_are_short(tmp_path):
    path = write(tmp_path / "x.bin", {}, **{"data.pkl": b"\x80\x02F" + b"9" * 100_000 + b"x\n."})
    with pytest.raises(BadInput, match=r"not a file of plain tensors") as error:
        read_header(path)
    assert len(str(error.value)) < 600


def test_what_is_not_a_torch_file(tmp_path):
    path = tmp_path / "bad.bin"
    good = write(tmp_path / "w.bin", {"x": tensor(SIX)}).read_bytes()
    for content in (b"", b"pickle", good[: len(good) // 2], good[:-1], good[1:]):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"bad\.bin: "):
            read_header(path)
    write_members(path, {})
    with pytest.raises(BadInput, match=r"0 members called data\.pkl"):
        read_header(path)
    with pytest.raises(BadInput, match="not readable"):
        read_header(tmp_path)
    with pytest.raises(BadInput, match="not readable"):
        read_header(tmp_path / "none")


FUZZED = {"x": tensor(SIX.reshape(2, 3)), "y": tensor(ARRAYS["b"]), "z": tensor(ARRAYS["c"])}
EXPECTED = {"x": SIX.reshape(2, 3), "y": ARRAYS["b"], "z": ARRAYS["c"]}


def _check(path, content, expected):
    path.write_bytes(content)
    try:
        found = read_tensors(path)
    except BadInput:
        return
    if expected:
        assert_same_bits(found, expected)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "w.bin"
    return write(path, FUZZED).read_bytes()


def test_every_byte_and_every_length(tmp_path, good):
    for at in range(len(good)):
        content = bytearray(good)
        content[at] ^= 1 << at % 8
        _check(tmp_path / "x", content, EXPECTED)
        _check(tmp_path / "x", good[:at], EXPECTED)


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_damaged_archives_give_the_tensors_or_a_message(tmp_path_factory, good, data):
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        width = data.draw(st.integers(0, 4))
        content[at : at + width] = data.draw(st.binary(max_size=4))
    _check(tmp_path_factory.getbasetemp() / "fuzzed.bin", content, EXPECTED)


STRUCTURE, STORAGES = dump(FUZZED)


@settings(max_examples=1000, deadline=None)
@given(data=st.data())
def test_damaged_structures_give_tensors_or_a_message(tmp_path_factory, data):
    """The pickle changed, the archive's checksums right."""
    content = bytearray(STRUCTURE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    members = {f"data/{i}": storage.values.tobytes() for i, storage in enumerate(STORAGES)}
    path = tmp_path_factory.getbasetemp() / "fuzzed.bin"
    write_members(path, {"data.pkl": bytes(content), **members})
    _check(path, path.read_bytes(), None)


class TestTorch:
    """Against torch itself."""

    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    def compare(self, torch, path, state):
        torch.save(state, path)
        found = read_tensors(path)
        loaded = torch.load(path, weights_only=True, map_location="cpu")
        assert found.keys() == loaded.keys()
        for name, array in found.items():
            theirs = loaded[name].detach().contiguous()
            assert str(theirs.dtype) == f"torch.{array.dtype}"
            assert tuple(theirs.shape) == array.shape
            assert theirs.reshape(-1).view(torch.uint8).numpy().tobytes() == array.tobytes()

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64", "int64"])
    def test_state_dicts(self, torch, tmp_path, dtype):
        whole = (torch.randn(7, 12) * 100).to(getattr(torch, dtype))
        tied = whole.clone()
        state = {
            "whole": whole, "slice": whole[2:5], "columns": whole[:, 3:7], "transposed": whole.T,
            "step": whole[1:6:2, ::3], "axes": whole.reshape(7, 3, 4).permute(2, 0, 1),
            "diagonal": whole.diagonal(), "tied": tied, "head": tied, "scalar": whole[3, 4],
            "empty": whole[:0], "parameter": torch.nn.Parameter(whole, requires_grad=False),
        }  # fmt: skip
        self.compare(torch, tmp_path / "w.bin", state)
        entries = read_header(tmp_path / "w.bin")
        assert entries["tied"] == entries["head"]
        torch.serialization.set_crc32_options(False)
        try:
            self.compare(torch, tmp_path / "w.bin", state)
        finally:
            torch.serialization.set_crc32_options(True)

    def test_modules(self, torch, tmp_path):
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        self.compare(torch, tmp_path / "w.bin", model.state_dict())
        torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "w.bin")
        assert read_header(tmp_path / "w.bin").keys() == model.state_dict().keys()
        torch.save(model, tmp_path / "w.bin")
        with pytest.raises(BadInput, match=r"Sequential.*save model\.state_dict\(\)"):
            read_header(tmp_path / "w.bin")

    def test_what_is_refused(self, torch, tmp_path):
        dense = torch.eye(3)
        other = {
            "complex": dense.to(torch.complex64),
            "negated": torch._neg_view(dense),
            "conjugated": dense.to(torch.complex64).conj(),
            "sparse": dense.to_sparse(),
            "bool": dense > 0,
            "int8": dense.to(torch.int8),
            "eight bits": dense.to(torch.float8_e4m3fn),
            "expanded": torch.ones(1).expand(5),
            "device": dense.to("meta"),
            "dtype": torch.float32,
            "size": dense.shape,
        }
        for key, value in other.items():
            torch.save({"good": dense, key: value}, tmp_path / "w.bin")
            with pytest.raises(BadInput, match=rf"w\.bin: {key}: ") as error:
                read_header(tmp_path / "w.bin")
            assert len(str(error.value)) < 500

    def test_the_form_before(self, torch, tmp_path):
        path = tmp_path / "w.bin"
        torch.save({"x": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
        with pytest.raises(BadInput, match=r"before PyTorch 1\.6"):
            read_header(path)

    def test_our_writer_is_read_by_torch(self, torch, tmp_path):
        path = write(tmp_path / "w.bin", FUZZED)
        loaded = torch.load(path, weights_only=True, map_location="cpu")
        for name, array in EXPECTED.items():
            assert loaded[name].view(torch.uint8).numpy().tobytes() == array.tobytes()
