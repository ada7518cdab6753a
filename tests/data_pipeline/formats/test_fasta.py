"""FASTA entries, whatever stands around them and wherever a read of the file ends."""

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import blocks, fasta

CONTENT = b"\n>one first\nMKV\nLA\n>two\nM >K\n\n>\nMV\n>three\n>four \xff\nM\n>five  x\nM K\n"
ENTRIES = [
    ("one", ("one first", "MKVLA")),
    ("two", ("two", "M >K")),
    ("a.fasta, entry 3", ("", "MV")),
    ("three", ("three", "")),
    ("a.fasta, entry 5", "not UTF-8"),
    ("five", ("five  x", "M K")),
]


def entries(path, content: bytes) -> list:
    path.write_bytes(content)
    return [
        (where, str(entry) if isinstance(entry, BadInput) else entry)
        for where, entry in fasta.entries(path)
    ]


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_entries_are_called_by_the_first_word_of_their_header(tmp_path, ends):
    assert entries(tmp_path / "a.fasta", CONTENT.replace(b"\n", ends)) == ENTRIES


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 21, 34])
def test_entries_do_not_depend_on_where_a_read_ends(tmp_path, monkeypatch, size):
    monkeypatch.setattr(blocks, "_BYTES", size)
    assert entries(tmp_path / "a.fasta", CONTENT) == ENTRIES


def test_what_stands_before_the_first_header_is_an_entry_without_one(tmp_path):
    found = entries(tmp_path / "a.fasta", b"MKV\n>one\nMK")
    assert found == [("a.fasta, entry 1", "no FASTA header"), ("one", ("one", "MK"))]


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_empty_files_have_no_entries(tmp_path, content):
    assert entries(tmp_path / "a.fasta", content) == []
