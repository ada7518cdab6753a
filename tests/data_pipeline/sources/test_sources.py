"""The reader registry, counting, damaged files, and the text reader."""

import bz2
import dataclasses
import gzip
import json
import lzma
from functools import partial

import pytest

from biomatrix_jax.config import from_dict
from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import zstd
from data_pipeline import sources
from data_pipeline.formats import lines
from data_pipeline.records import TextRecord
from data_pipeline.sources import text
from data_pipeline.sources.tally import Tally


@pytest.mark.parametrize("name", sources.READERS)
def test_every_reader_keeps_the_contract(name):
    module = sources.reader(name)
    assert from_dict(module.Options, {"limit": 3}, "recipe").limit == 3
    assert module.Options().limit is None
    with pytest.raises(BadInput, match="limit must be at least 1, not 0"):
        from_dict(module.Options, {"limit": 0}, "recipe")
    with pytest.raises(BadInput, match="did you mean limit"):
        from_dict(module.Options, {"limt": 3}, "recipe")
    with pytest.raises(BadInput, match=r"(?i)no data in the box|no such file"):
        next(sources.read(name, None if name == "sdf" else "/no/such/file", None, Tally()))


@pytest.mark.parametrize("name", sources.READERS)
def test_every_reader_says_which_options_are_files(name):
    """A build goes by them: what stands in such a file decides the records."""
    options = sources.reader(name).Options
    paths = {f.name for f in dataclasses.fields(options) if "str | None" in str(f.type)}
    names = {"indexes", "fold"}  # of things within files
    assert paths - names == set(options.beside)


def test_unknown_reader_suggests_the_nearest():
    with pytest.raises(BadInput, match="no reader is called 'wwpbd': did you mean wwpdb"):
        sources.reader("wwpbd")
    with pytest.raises(BadInput, match=f"known are {', '.join(sources.READERS)}"):
        sources.reader("zzz")


def test_tally_adds_up_and_names_the_first_of_each_reason():
    tally = Tally()
    for record in "abcd":
        tally.begin()
        if record == "a":
            tally.keep()
        else:
            tally.drop("too long" if record == "b" else "empty", record)
    tally.lose("3D view", "a")
    assert tally.balanced
    assert (tally.records_in, tally.records_out, tally.dropped) == (
        4,
        1,
        {"too long": 1, "empty": 2},
    )
    assert tally.first == {"too long": "b", "empty": "c", "3D view": "a"}
    assert str(tally) == (
        "4 in; 1 out; 2 dropped: empty (first c); 1 dropped: too long (first b); "
        "1 lost: 3D view (first a)"
    )
    tally.begin()
    assert not tally.balanced


def test_a_corpus_without_a_usable_record_is_an_error_that_says_why(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": ""}\n{"id": "x"}\n[1]\n')
    with pytest.raises(
        BadInput, match=r"bad\.jsonl: no usable record \(3 in; 0 out; 1 dropped"
    ) as e:
        list(sources.read("text", str(tmp_path / "bad.jsonl"), None, Tally()))
    assert "\n" not in str(e.value)
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(BadInput, match=r"empty\.jsonl: no usable record \(0 in; 0 out\)"):
        list(sources.read("text", str(tmp_path / "empty.jsonl"), None, Tally()))


def test_lines_are_the_same_plain_and_gzipped(tmp_path):
    content = "eins\r\nzwei ü\n\nlast".encode()
    (tmp_path / "a.txt").write_bytes(content)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(content))
    expected = [b"eins", "zwei ü".encode(), b"", b"last"]
    assert list(lines.read_lines(tmp_path / "a.txt")) == expected
    assert list(lines.read_lines(tmp_path / "a.txt.gz")) == expected


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".xz"])
def test_compressed_files_read_back_whole_or_say_that_they_are_damaged(tmp_path, suffix):
    pack = {".gz": gzip, ".zst": zstd(), ".bz2": bz2, ".xz": lzma}[suffix].compress
    if suffix == ".zst":  # as the command `zstd` does; without a checksum it may not notice
        pack = partial(pack, options={zstd().CompressionParameter.checksum_flag: 1})
    content = b"".join(b"line %d\n" % (n * n) for n in range(20_000))
    packed = pack(content) + pack(b"a second stream\n")
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(packed)
    found = list(lines.read_lines(path))
    assert (len(found), found[-1]) == (20_001, b"a second stream")
    path.rename(tmp_path / "nameless")  # known by its first bytes
    assert list(lines.read_lines(tmp_path / "nameless")) == found
    half = len(packed) // 2
    for damaged in (packed[:half], packed[:-5], packed[:half] + b"zzzz" + packed[half + 4 :]):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=rf"a\.txt\{suffix}: damaged or truncated") as error:
            list(lines.read_lines(path))
        assert "\n" not in str(error.value)


def test_a_limit_is_of_the_corpus_and_not_of_each_file(tmp_path):
    for name in "abc":
        entries = [json.dumps({"id": f"{name}{n}", "text": "x"}) for n in range(3)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(entries))
    tally = Tally()
    found = sources.read("text", str(tmp_path), text.Options(limit=4), tally)
    assert [record.id for record in found] == ["a0", "a1", "a2", "b0"]
    assert tally.records_in == 4


def test_damaged_gzip_is_one_line_with_the_name(tmp_path):
    import random

    content = gzip.compress(random.Random(0).randbytes(50_000).hex().encode())
    cases = {
        "cut.gz": content[: len(content) // 2],
        "flipped.gz": content[:20_000] + bytes([content[20_000] ^ 255]) + content[20_001:],
        "plain.gz": b"this was never compressed",
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadInput, match=f"{name}: damaged or truncated gzip data") as error:
            list(lines.read_lines(tmp_path / name))
        assert "\n" not in str(error.value)
    with pytest.raises(BadInput, match=r"absent\.gz: No such file"):
        list(lines.read_lines(tmp_path / "absent.gz"))
    with pytest.raises(BadInput, match="Is a directory"):
        list(lines.read_lines(tmp_path))


def test_text_in_the_box():
    tally = Tally()
    records = list(sources.read("text", None, text.Options(limit=50), tally))
    assert len(records) == tally.records_in == tally.records_out == 50
    assert len({record.id for record in records}) == 50
    assert (records[0].id, records[0].title) == (
        "GO:0000082",
        "G1/S transition of mitotic cell cycle",
    )
    assert records[0].text.startswith("Biological process: G1/S transition of mitotic cell cycle. ")


def test_text_lines_are_records_or_are_counted(tmp_path):
    path = tmp_path / "corpus.jsonl"
    lines = [
        json.dumps({"id": "a", "title": "T", "text": "Grün."}).encode(),
        b"",
        b'{"text": "second"}',
        b'{"text": "cut',
        b'{"id": 3, "text": "number as id"}',
        b'{"text": null}',
        b'["text"]',
        b"[" * 100_000,
        b'{"text": " \\n"}',
        b'{"text": "\xff"}',
    ]
    path.write_bytes(b"\n".join(lines))
    tally = Tally()
    records = list(sources.read("text", str(path), text.Options(), tally))
    assert records == [
        TextRecord("a", "T", "Grün."),
        TextRecord("corpus.jsonl:3", "", "second"),
    ]
    assert tally.balanced
    assert tally.records_in == 9
    assert tally.dropped == {
        "not JSON": 2,
        "id, title or text is not a string": 2,
        "not a JSON object": 1,
        "empty text": 1,
        "not UTF-8": 1,
    }
    assert tally.first["not UTF-8"] == "corpus.jsonl:10"
