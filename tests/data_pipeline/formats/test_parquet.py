"""Parquet rows: columns, batches, strings that are none, damage."""

import random
import sys

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import parquet

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def test_rows_come_in_order_with_the_columns_asked_for(tmp_path):
    many = 2 * parquet.BATCH + 3
    table = pa.table(
        {
            "id": [f"r{n}" for n in range(many)],
            "score": [n / 2 for n in range(many)],
            "other": ["x"] * many,
            "lists": [[n, n + 1] for n in range(many)],
        }
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=700)
    found = list(parquet.rows(path, ("id", "lists"), optional=("score", "absent")))
    assert len(found) == many
    assert found[0] == ("a.parquet:0", {"id": "r0", "lists": [0, 1], "score": 0.0})
    assert found[1500] == ("a.parquet:1500", {"id": "r1500", "lists": [1500, 1501], "score": 750.0})


def test_memory_holds_one_batch_and_not_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x" * 100] * 5000}), path, row_group_size=2000)
    sizes = []
    plain = parquet._rows
    monkeypatch.setattr(parquet, "_rows", lambda batch: sizes.append(len(batch)) or plain(batch))
    rows = parquet.rows(path, ("text",))
    next(rows)
    assert len(sizes) == 1
    assert len(list(rows)) == 4999
    assert max(sizes) <= parquet.BATCH


def test_memory_does_not_grow_with_a_group_of_rows(tmp_path):
    path = tmp_path / "a.parquet"
    text = [random.Random(n).randbytes(3000).hex() for n in range(5000)]
    pq.write_table(pa.table({"text": text}), path, compression=None)
    assert path.stat().st_size > 30_000_000
    before = pa.total_allocated_bytes()
    rows = parquet.rows(path, ("text",))
    assert next(rows)[1] == {"text": text[0]}
    assert pa.total_allocated_bytes() - before < 20_000_000
    rows.close()


def test_a_string_that_is_not_utf8_spoils_its_own_row_only(tmp_path):
    values = [b"good", b"\xff\xfe", None, "schön".encode(), b"\xc3"]
    raw = pa.array(values, pa.binary()).buffers()
    column = pa.Array.from_buffers(pa.string(), len(values), raw)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": column, "n": range(5)}), path)
    found = [row for _, row in parquet.rows(path, ("text", "n"))]
    assert [str(found[1]), str(found[4])] == ["not UTF-8"] * 2
    assert isinstance(found[1], BadInput)
    assert [found[0], found[2], found[3]] == [
        {"text": "good", "n": 0},
        {"text": None, "n": 2},
        {"text": "schön", "n": 3},
    ]


def test_damage_is_one_line_with_the_name(tmp_path):
    path = tmp_path / "a.parquet"
    with pytest.raises(BadInput, match=r"a\.parquet: not readable as Parquet .*No such file"):
        list(parquet.rows(path, ("id",)))
    pq.write_table(pa.table({"id": [str(n * n) for n in range(5000)]}), path)
    whole = path.read_bytes()
    with pytest.raises(BadInput, match=r"a\.parquet: no column 'text'; it has: id$"):
        list(parquet.rows(path, ("text",)))
    middle = len(whole) // 2
    name = whole.replace(b"id", b"\xffd")
    for damaged in (b"", b"PAR1", whole[:-9], whole[:middle] + whole[middle + 50 :], name):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"a\.parquet: not readable as Parquet") as error:
            list(parquet.rows(path, ("id",)))
        assert "\n" not in str(error.value)


def test_without_pyarrow_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput, match=r"pip install 'biomatrix-jax\[data\]'"):
        list(parquet.rows(tmp_path / "a.parquet", ("id",)))
