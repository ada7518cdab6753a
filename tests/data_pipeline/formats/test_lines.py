"""Lines, JSON Lines and tables: what is an entry, where it stands, and why one is none."""

import csv
import gzip

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import lines


def outcome(entries) -> list:
    """Entries as they are, or why they cannot be read."""
    return [(where, str(e) if isinstance(e, BadInput) else e) for where, e in entries]


def test_lines_keep_their_numbers_when_blank_ones_are_left_out(tmp_path):
    path = tmp_path / "a.smi.gz"
    path.write_bytes(gzip.compress(b"one\r\n\n \t\ntwo \xff\n"))
    assert list(lines.numbered(path)) == [("a.smi.gz:1", b"one"), ("a.smi.gz:4", b"two \xff")]


def test_json_lines_are_objects_or_say_why_not(tmp_path):
    path = tmp_path / "a.jsonl"
    long = "x" * 10_000_000
    rows = [
        b'{"a": 1, "b": null}',
        b"",
        b'{"a": ',
        b"[1]",
        b"[" * 100_000,
        b'{"a": "\xff"}',
        f'{{"a": "{long}"}}'.encode(),
        b'{"a": ' + b"9" * 5000 + b"}",
        rb'{"\ud800": 1}',
        rb'{"a": "\uDC00 after"}',
        rb'{"a": "\ud83d\uDE00 \\ud800"}',
    ]
    path.write_bytes(b"\n".join(rows))
    assert outcome(lines.json_objects(path)) == [
        ("a.jsonl:1", {"a": 1, "b": None}),
        ("a.jsonl:3", "not JSON"),
        ("a.jsonl:4", "not a JSON object"),
        ("a.jsonl:5", "not JSON"),
        ("a.jsonl:6", "not UTF-8"),
        ("a.jsonl:7", {"a": long}),
        ("a.jsonl:8", "not JSON"),
        ("a.jsonl:9", "not Unicode (half of a surrogate pair)"),
        ("a.jsonl:10", "not Unicode (half of a surrogate pair)"),
        ("a.jsonl:11", {"a": "\U0001f600 \\ud800"}),
    ]


def test_tab_separated_fields_stand_as_they_are(tmp_path):
    path = tmp_path / "a.tsv"
    rows = ["id\tname", "a\t\"5' end", "b\t", " c \t\u00fc", "d", "e\tf\tg"]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode() + b"\nh\t\xe4\n")
    assert outcome(lines.table(path, ["name"])) == [
        ("a.tsv:2", {"id": "a", "name": "\"5' end"}),
        ("a.tsv:3", {"id": "b", "name": ""}),
        ("a.tsv:4", {"id": " c ", "name": "\u00fc"}),
        ("a.tsv:5", "not as many fields as the header has"),
        ("a.tsv:6", "not as many fields as the header has"),
        ("a.tsv:7", "not UTF-8"),
    ]


def test_comma_separated_fields_may_be_quoted(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,"a, b"\n1,"x ""y"", z"\n2,"open\n3,"x"y\n4,\n')
    found = outcome(lines.table(path, ["a, b"], ","))
    assert found[0] == ("a.csv:2", {"id": "1", "a, b": 'x "y", z'})
    assert [(where, reason[:9]) for where, reason in found[1:3]] == [
        ("a.csv:3", "not CSV ("),  # and the row after it is read all the same
        ("a.csv:4", "not CSV ("),
    ]
    assert found[3] == ("a.csv:5", {"id": "4", "a, b": ""})


def test_a_field_may_be_longer_than_the_csv_module_takes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,sequence\n1," + "A" * 10_000_000 + "\n")
    limit = csv.field_size_limit()
    [(_, row)] = lines.table(path, ["sequence"], ",")
    assert len(row["sequence"]) == 10_000_000
    assert csv.field_size_limit() == limit  # it is the whole process's: tables of SMILES rely on it


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty, not even a header"),
        (b"\n  \n", "empty, not even a header"),
        (b"id\tnam\n1\t2\n", "no column 'name'; the header has: id, nam"),
        (b"id\tname\tid\n1\t2\t3\n", "2 columns are called 'id'"),
        (b"id\tn\xe4me\n", "header is not UTF-8"),
    ],
)
def test_a_table_without_its_header_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "bad.tsv"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=rf"bad\.tsv: {message}") as error:
        list(lines.table(path, ["name"]))
    assert "\n" not in str(error.value)


def test_columns_without_a_name_may_be_many(tmp_path):
    (tmp_path / "a.tsv").write_text("id\t\t\n1\t2\t3\n")
    [(_, row)] = lines.table(tmp_path / "a.tsv", ["id"])
    assert row["id"] == "1"


def test_rows_may_be_ragged_and_names_repeated_where_the_caller_sorts_it_out(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"id\tchain\tchain\n1\tA\n2\tA\tB\tC\n\xff\n")
    header, rows = lines.split_rows(path, ["chain"])
    assert header == ["id", "chain", "chain"]
    assert outcome(rows) == [
        ("a.tsv:2", ["1", "A"]),
        ("a.tsv:3", ["2", "A", "B", "C"]),
        ("a.tsv:4", "not UTF-8"),
    ]


def test_a_notice_may_stand_before_the_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xa9 2023, all rights\n\n"this, that"\nid,name\n1,x\n')
    header, rows = lines.split_rows(path, ["name"], ",", notice=2)
    assert (header, list(rows)) == (["id", "name"], [("a.csv:5", ["1", "x"])])
    with pytest.raises(BadInput, match=r"a\.csv: header is not UTF-8"):
        lines.split_rows(path, ["name"], ",", notice=1)


def test_a_table_cut_short_by_damage_is_an_error_not_its_end(tmp_path):
    path = tmp_path / "a.tsv.gz"
    content = gzip.compress(b"id\tname\n" + b"".join(b"%d\tx\n" % (n * n) for n in range(50_000)))
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match=r"a\.tsv\.gz: damaged or truncated gzip"):
        list(lines.table(path, ["name"]))
