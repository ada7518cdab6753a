import gzip
import lzma

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.lines import check_output, numbered_lines, output


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_numbers_are_those_of_the_file(tmp_path, pack):
    (tmp_path / "x.jsonl").write_bytes(pack(b"\na\r\n \n\xff b"))
    assert list(numbered_lines(tmp_path / "x.jsonl")) == [(2, b"a\r\n"), (4, b"\xff b")]


def test_damage_behind_whole_lines(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"a\n" * 10)[:-4])
    with pytest.raises(BadInput, match="damaged or truncated gzip data"):
        list(numbered_lines(path))


def test_output_is_plain_or_gzipped_by_its_name(tmp_path):
    for name in ("a.txt", "a.gz", "b.gz"):
        with output(tmp_path / name) as file:
            file.write(b"one\n")
            file.write(b"two\n")
    assert (tmp_path / "a.txt").read_bytes() == b"one\ntwo\n"
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"one\ntwo\n"
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize("name", ["a.txt", "a.gz"])
def test_output_that_fails_leaves_what_was_there(tmp_path, name):
    (tmp_path / name).write_text("old")
    with pytest.raises(RuntimeError), output(tmp_path / name) as file:
        file.write(b"new")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "old")]


def test_output_that_cannot_be(tmp_path):
    with pytest.raises(BadInput, match="is a folder: name a file"):
        check_output(tmp_path)
    for suffix in ("zst", "bz2", "xz"):
        with pytest.raises(BadInput, match=r"of compressed files only \.gz are written"):
            check_output(tmp_path / f"x.jsonl.{suffix}")
    check_output(tmp_path / "x.jsonl.gz")
