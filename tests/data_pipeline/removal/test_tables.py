"""Rows in files: numbered through, read in blocks or by number."""

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.removal.tables import Table, by_file, owners

ROW = np.dtype([("a", "<i8"), ("b", "<u4", (3,))])
COUNTS = (4, 0, 7, 1, 0)


@pytest.fixture
def table(tmp_path):
    number = 0
    paths = [tmp_path / str(i) for i in range(len(COUNTS))]
    for path, count in zip(paths, COUNTS, strict=True):
        rows = np.zeros(count, ROW)
        rows["a"] = range(number, number + count)
        rows.tofile(path)
        number += count
    return Table(paths, ROW)


def test_rows_are_numbered_through(table):
    assert table.starts.tolist() == [0, 4, 4, 11, 12, 12]
    for numbers in ([], [0], [3, 4, 4, 9, 11], range(12)):
        assert table.take(np.array(numbers, np.int64))["a"].tolist() == list(numbers)


@pytest.mark.parametrize(
    ("rows", "sizes"), [(0, [1] * 12), (3, [3, 1, 3, 3, 1, 1]), (9, [4, 7, 1])]
)
def test_blocks_are_of_one_file_and_not_too_large(rows, sizes, table):
    blocks = list(table.blocks(rows * ROW.itemsize + 19))
    assert [len(block) for _, block in blocks] == sizes
    assert all(block["a"].tolist() == list(range(n, n + len(block))) for n, block in blocks)


def test_a_file_that_is_cut_short_is_named(table):
    with open(table.paths[2], "ab") as file:
        file.write(b"x")
    with pytest.raises(BadInput, match=r"/2 is cut short"):
        list(table.blocks(100))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], []),
        ([11], [(3, [11])]),
        ([0, 3, 3, 4, 10, 11], [(0, [0, 3, 3]), (2, [4, 10]), (3, [11])]),
    ],
)
def test_numbers_are_told_by_file(numbers, expected, table):
    numbers = np.array(numbers, np.int64)
    found = [(file, numbers[part].tolist()) for file, part in by_file(table.starts, numbers)]
    assert found == expected
    assert owners(table.starts, numbers).tolist() == [f for f, own in expected for _ in own]
