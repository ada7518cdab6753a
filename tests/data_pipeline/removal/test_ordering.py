"""Sorting on disk gives what sorting in memory gives."""

import numpy as np
import pytest

from data_pipeline.removal.ordering import Sorter, followers

ROW = np.dtype([("key", "<u8"), ("value", "<i8")])


def rows_of(keys, dtype=ROW) -> np.ndarray:
    rows = np.empty(len(keys), dtype)
    rows["key"], rows["value"] = keys, np.arange(len(keys))
    return rows


def put_through(rows, path, memory, at_a_time=100) -> list[np.ndarray]:
    sorter = Sorter(path, rows.dtype, memory)
    for start in range(0, len(rows), at_a_time):
        part = rows[start : start + at_a_time]
        sorter.add(**{name: part[name] for name in rows.dtype.names})
    blocks = list(sorter.blocks(memory))
    assert not path.exists()
    return blocks


@pytest.mark.parametrize("memory", [0, 4000, 64 * 999, 64 * 1000, 2**20])
@pytest.mark.parametrize("kinds", [1, 3, 300, 2**62])
def test_rows_come_back_in_order_and_equals_as_they_came(kinds, memory, tmp_path):
    rows = rows_of(np.random.default_rng(0).integers(0, kinds, 1000))
    blocks = put_through(rows, tmp_path / "rows", memory)
    assert max(map(len, blocks)) <= max(memory // 64, 1000 if memory == 0 else 0)
    expected = rows[np.argsort(rows["key"], kind="stable")]
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_keys_may_be_bytes_that_end_in_zeros(tmp_path):
    keys = np.random.default_rng(0).integers(0, 3, (2000, 4), np.uint8).view("S4")[:, 0]
    rows = rows_of(keys, np.dtype([("key", "S4"), ("value", "<i8")]))
    found = np.concatenate(put_through(rows, tmp_path / "rows", 9000))
    told = sorted((key.ljust(4, b"\0"), number) for number, key in enumerate(keys.tolist()))
    assert [(key.ljust(4, b"\0"), number) for key, number in found.tolist()] == told


def test_no_rows_are_one_block(tmp_path):
    [block] = put_through(rows_of([]), tmp_path / "rows", 0)
    assert len(block) == 0
    assert block.dtype == ROW


@pytest.mark.parametrize("kinds", [1, 3, 40])
@pytest.mark.parametrize("size", [1, 2, 7, 200])
def test_followers_are_told_across_blocks(kinds, size):
    keys = np.sort(np.random.default_rng(1).integers(0, kinds, 150))
    rows = rows_of(keys)
    rows["value"] = np.random.default_rng(2).permutation(150)
    blocks = [rows[:0], *(rows[start : start + size] for start in range(0, 150, size)), rows[:0]]
    found = [np.stack(one, axis=1) for one in followers(iter(blocks))]
    expected, groups = [], {}
    for key, value in rows.tolist():
        group = groups.setdefault(key, [])
        if group:
            expected.append([value, group[0], group[-1]])
        group.append(value)
    assert np.concatenate(found).tolist() == expected
