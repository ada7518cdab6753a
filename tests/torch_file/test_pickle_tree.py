"""What a pickle says: containers as they are, calls as descriptions, all else refused."""

import collections
import os
import pickle
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomatrix_jax.torch_file.pickle_tree import MOST_BYTES, Call, Name, Reference, read_tree

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(-9, 9), inner)
    ),
)


@settings(max_examples=200, deadline=None)
@given(PLAIN)
def test_plain_content_as_pickle_has_it(content):
    tree, names = read_tree(pickle.dumps(content, 2))
    assert pickle.dumps(tree, 2) == pickle.dumps(pickle.loads(pickle.dumps(content, 2)), 2)
    assert names == set()


def test_containers():
    shared = [1]
    content = {"a": shared, "b": (shared, ()), "c": collections.OrderedDict(x=1), "d": (1, 2, 3, 4)}
    content["e"] = content
    tree, names = read_tree(pickle.dumps(content, 2))
    assert tree["a"] is tree["b"][0]
    assert tree["a"] == [1]
    assert tree["c"] == {"x": 1}
    assert tree["d"] == (1, 2, 3, 4)
    assert tree["e"] is tree
    assert names == {"collections.OrderedDict"}


class Thing:
    pass


def test_calls_and_objects_are_described(tmp_path):
    thing = Thing()
    thing.size = 3
    tree, names = read_tree(pickle.dumps([os.getcwd, thing, collections.deque([1, 2])], 2))
    function, described, queue = tree
    assert function == Name(f"{os.getcwd.__module__}.getcwd")
    assert isinstance(described, Call)
    assert described.function == Name(f"{__name__}.Thing")
    assert described.parts == [(), {"size": 3}]
    assert queue.function == Name("collections.deque")
    assert names >= {f"{__name__}.Thing", "collections.deque"}


def test_references():
    (reference,) = read_tree(b"\x80\x02](X\x01\x00\x00\x00aQe.")[0]
    assert isinstance(reference, Reference)
    assert reference.identity == "a"


TEXT = b"X\x01\0\0\0a"
NUMBERS = b"K\x01K\x02"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "exhausted"),
        (b"\x80\x02", "exhausted"),
        (b"\x80\x02N", "exhausted"),
        (b"\x80\x02NN.", "unpack"),
        (b"\x80\x02.", "unpack"),
        (b"\x80\x02N.N", "end"),
        (b"\x80\x02(N.", "end"),
        (b"\x80\x03N.", "protocol 3"),
        (b"\x80\x04\x95\0\0\0\0\0\0\0\x01N.", "protocol 4"),
        (b"\x80\x02\xff.", "opcode"),
        (b"\x80\x02Nq\0h\x01.", "lacks"),  # a memo that is not there
        (b"\x80\x02h\0.", "lacks"),
        (b"\x80\x02q\0.", "lacks"),
        (b"\x80\x02\x85.", "lacks"),
        (b"\x80\x02N\x87.", "lacks"),
        (b"\x80\x02t.", "lacks"),
        (b"\x80\x02R.", "lacks"),
        (b"\x80\x02u.", "lacks"),
        (b"\x80\x02}(K\x01u.", "sets 1 items of dict"),
        (b"\x80\x02]" + NUMBERS + b"s.", "sets 2 items of list"),
        (b"\x80\x02}K\x01a.", "appends to dict"),
        (b"\x80\x02K\x05}b.", "state of int"),
        (b"\x80\x02}]K\x01s.", "neither text nor a small number"),
        (b"\x80\x02}\x88K\x01s.", "neither text nor a small number"),
        (b"\x80\x02}\x8a\x05\0\0\0\0\x01K\x01s.", "neither text nor a small number"),
        (b"\x80\x02}(" + TEXT + b"K\x01" + TEXT + b"K\x02u.", "one key twice"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "2147483647 bytes"),  # text longer than the file
        (b"\x80\x02X\x02\0\0\0\xff\xfe.", "decode"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f\0.", "long4"),  # a number of two billion bytes
        (b"\x80\x02\x8b\x04\0\0\0\1\1\1\1.", "LONG4"),
        (b"\x80\x02I" + b"9" * 5000 + b"\n.", "digits|INT"),
        (b"\x80\x02cos\nsystem\n(S'ls'\ntR.", "STRING"),
        (b"cos\nsystem\n(S'ls'\ntR.", "STRING"),
        (b"\x80\x02(S'ls'\nios\nsystem\n.", "STRING"),
        (b"\x80\x02(ios\nsystem\n.", "INST"),
        (b"\x80\x02(cos\nsystem\no.", "OBJ"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02N2.", "DUP"),
        (b"\x80\x02N0.", "POP"),
        (b"\x80\x02P1\n.", "PERSID"),
        (b"\x80\x02C\x01a.", "SHORT_BINBYTES"),
        (b"\x80\x02" + b"N" * MOST_BYTES, "at most"),
    ],
)
def test_what_no_such_file_needs(content, message):
    with pytest.raises(ValueError, match=message):
        read_tree(content)


def test_other_numbers_of_a_memo_cost_nothing():
    assert read_tree(b"\x80\x02Nr\xff\xff\xff\xffj\xff\xff\xff\xff\x86.")[0] == (None, None)


def test_depth_is_no_problem():
    tree, _ = read_tree(b"\x80\x02)" + b"\x85" * 300_000 + b".")
    assert type(tree) is tuple
    tree, _ = read_tree(b"\x80\x02N" + b"Q" * 300_000 + b".")
    assert type(tree) is Reference


def test_exponential_content_is_not_spelt_out():
    doubled = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(200))
    tree, _ = read_tree(b"\x80\x02}" + TEXT + b")" + doubled + b"s.")
    assert len(tree["a"]) == 2


def test_a_call_of_a_call():
    content = b"\x80\x02cbuiltins\ngetattr\ncos\nsystem\n" + TEXT + b"\x86RX\x02\0\0\0ls\x85R."
    tree, names = read_tree(content)
    assert names == {"builtins.getattr", "os.system"}
    assert tree.function.function == Name("builtins.getattr")


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_any_bytes_give_a_tree_or_a_message(data):
    content = bytearray(pickle.dumps({"a": [1, (2, 3.0, None)], "b": Thing(), "c": 2**40}, 2))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(2, len(content) - 2))] = data.draw(st.integers(0, 255))
    try:
        read_tree(bytes(content))
    except ValueError as error:
        assert str(error)  # noqa: PT017


def test_an_ordered_dictionary_is_made_empty_only():
    tree, _ = read_tree(b"\x80\x02ccollections\nOrderedDict\n](" + NUMBERS + b"e\x85R.")
    assert isinstance(tree, Call)


def test_big_numbers():
    number = 2**2000
    data = pickle.dumps(number, 2)
    assert data[2:3] == b"\x8a"
    assert read_tree(data)[0] == number
    assert read_tree(struct.pack("<2sci1s", b"\x80\x02", b"J", -5, b"."))[0] == -5
