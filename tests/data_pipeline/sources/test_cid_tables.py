import gzip
import random

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.sources import cid_tables
from data_pipeline.sources.cid_tables import CidTable


@pytest.mark.parametrize("block", [1, 10, 64, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_values_are_found_whatever_the_blocks(tmp_path, monkeypatch, block, end):
    monkeypatch.setattr(cid_tables, "BLOCK", block)
    chance = random.Random(0)
    cids = sorted(chance.choices(range(1, 120), k=150))
    rows = [(cid, f"value {number}\tof {cid}") for number, cid in enumerate(cids)]
    path = tmp_path / "table.gz"
    path.write_bytes(gzip.compress(end.join(f"{cid}\t{value}" for cid, value in rows).encode()))
    for asked in (range(1, 130), [5, 5, 40, 41, 119, 125], chance.sample(range(1, 120), 1)):
        table = CidTable(path)
        for cid in asked:
            assert [value.decode() for value in table.values(cid)] == [
                value for there, value in rows if there == cid
            ]
        table.close()


def test_an_empty_table_has_nothing(tmp_path):
    (tmp_path / "table").write_text("\n")
    assert CidTable(tmp_path / "table").values(3) == ()


def test_asking_in_descending_order_is_refused(tmp_path):
    (tmp_path / "table").write_text("1\ta\n2\tb\n")
    table = CidTable(tmp_path / "table")
    assert table.values(2) == (b"b",)
    with pytest.raises(BadInput, match=r"CID 1 comes after CID 2, but .*table can only be joined"):
        table.values(1)


@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1\ta\n13\tb\n2\tc\n", r"table: CID 2 after 13: sort it"),
        (b"1\ta\nCID 2 without a tab\n", r"b'CID 2 without a tab' is not a CID, a tab and a value"),
        (b"InChI=1S/CH4/h1H4\t297\n", r"b'InChI=1S/CH4/h1H4\\t297' is not a CID"),
        (b"1\ta\n\n2\tb\n", r"b'' is not a CID, a tab and a value"),
    ],
)
def test_a_table_of_another_form_stops_with_one_line(
    tmp_path, monkeypatch, block, content, message
):
    monkeypatch.setattr(cid_tables, "BLOCK", block)
    (tmp_path / "table").write_bytes(content)
    with pytest.raises(BadInput, match=message) as error:
        table = CidTable(tmp_path / "table")
        [table.values(cid) for cid in range(1, 20)]
    assert "\n" not in str(error.value)
