"""Tables looked up on disk: built once, whole or not at all, anew where the table changed."""

import os

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import lookup


def rows(path):
    for line in path.read_text().splitlines():
        yield tuple(line.split())


def get(index, *keys) -> list:
    with lookup.opened(index) as table:
        return [table.get(key) for key in keys]


def test_rows_are_found_whatever_their_order(tmp_path):
    table = tmp_path / "t.txt"
    table.write_text("b 2 two\na 1 one\nb 3 three\nü'\" 4 four\n")
    index = lookup.build(table, None, rows)
    assert index.parent == tmp_path
    assert get(index, "a", "b", "ü'\"", "c", "") == [
        ("1", "one"), ("2", "two"), ("4", "four"), None, None
    ]  # fmt: skip


def test_an_index_is_built_once_and_again_when_the_table_changed(tmp_path):
    table, built = tmp_path / "t.txt", []

    def counted(path):
        built.append(path)
        return rows(path)

    table.write_text("a 1\n")
    first = lookup.build(table, tmp_path / "some" / "where", counted)
    assert lookup.build(table, tmp_path / "some" / "where", counted) == first
    table.write_text("a 2\n")
    os.utime(table, ns=(0, 1))
    second = lookup.build(table, tmp_path / "some" / "where", counted)
    assert (len(built), get(first, "a"), get(second, "a")) == (2, [("1",)], [("2",)])


def test_nothing_is_left_of_a_build_that_failed(tmp_path):
    table = tmp_path / "t.txt"
    table.write_text("a 1\nb\n")

    def damaged(path):
        yield ("a", "1")
        raise BadInput(f"{path}: damaged")

    with pytest.raises(BadInput, match=r"t\.txt: damaged"):
        lookup.build(table, tmp_path / "indexes", damaged)
    with pytest.raises(BadInput, match=r"sqlite: cannot be written"):  # a row of another length
        lookup.build(table, tmp_path / "indexes", rows)
    assert list((tmp_path / "indexes").iterdir()) == []


def test_what_cannot_be_indexed_is_named(tmp_path):
    (tmp_path / "empty.txt").touch()
    with pytest.raises(BadInput, match=r"empty\.txt: nothing to look up"):
        lookup.build(tmp_path / "empty.txt", None, rows)
    with pytest.raises(BadInput, match=r"absent\.txt: No such file"):
        lookup.build(tmp_path / "absent.txt", None, rows)
    with pytest.raises(BadInput, match=r"cannot be written .*choose another folder"):
        lookup.build(tmp_path / "empty.txt", tmp_path / "empty.txt" / "below", rows)
