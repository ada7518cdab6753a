"""Web text: FineWeb-Edu and FineFineWeb, in the form of their Hugging Face datasets."""

import json

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import zstd
from data_pipeline import sources
from data_pipeline.records import TextRecord
from data_pipeline.sources import finefineweb, fineweb
from data_pipeline.sources.tally import Tally

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

URN = "<urn:uuid:6fc75afa-0000-4000-8000-00000000000{}>"


def rows(ids, texts):
    count = len(ids)
    return pa.table(
        {
            "text": pa.array(texts, pa.string()),
            "id": pa.array(ids, pa.string()),
            "dump": ["CC-MAIN-2013-20"] * count,
            "url": ["http://example.org/a"] * count,
            "file_path": ["s3://commoncrawl/crawl-data/a.warc.gz"] * count,
            "language": ["en"] * count,
            "language_score": [0.98] * count,
            "token_count": [7] * count,
            "score": [3.5] * count,
            "int_score": [4] * count,
        }
    )


def test_fineweb_rows_are_documents_as_they_stand(tmp_path):
    texts = ["One line.\nAnother  one.\n", "", None, "Vierter \u00fc", "x" * 10_000_000, "last"]
    ids = [URN.format(n) for n in range(5)] + [None]
    pq.write_table(rows(ids, texts), tmp_path / "000_00000.parquet")
    tally = Tally()
    records = list(sources.read("fineweb", str(tmp_path), None, tally))
    assert records == [
        TextRecord(URN.format(0), "", "One line.\nAnother  one.\n"),
        TextRecord(URN.format(3), "", "Vierter \u00fc"),
        TextRecord(URN.format(4), "", "x" * 10_000_000),
    ]
    assert tally.balanced
    assert (tally.records_in, tally.dropped) == (6, {"empty text": 2, "no id": 1})
    assert tally.first == {"empty text": "000_00000.parquet:1", "no id": "000_00000.parquet:5"}


def test_fineweb_counts_text_that_is_not_utf8(tmp_path):
    values = [b"good", b"\xff\xfe"]
    text = pa.Array.from_buffers(pa.string(), 2, pa.array(values, pa.binary()).buffers())
    pq.write_table(pa.table({"text": text, "id": ["a", "b"]}), tmp_path / "a.parquet")
    tally = Tally()
    records = list(sources.read("fineweb", str(tmp_path), fineweb.Options(), tally))
    assert [record.id for record in records] == ["a"]
    assert tally.dropped == {"not UTF-8": 1}


def test_fineweb_needs_its_columns_and_whole_files(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"content": ["x"]}), path)
    with pytest.raises(BadInput, match=r"a\.parquet: no column 'id'; it has: content"):
        list(sources.read("fineweb", str(path), None, Tally()))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadInput, match=r"a\.parquet: not readable as Parquet"):
        list(sources.read("fineweb", str(path), None, Tally()))


def page(text, **more):
    return json.dumps({"url": "http://example.org", "text": text, **more}).encode() + b"\n"


@pytest.fixture
def fields(tmp_path):
    for field in ("biology", "chemistry", "medical", "health", "game"):
        (tmp_path / field).mkdir()
        (tmp_path / field / f"{field}_000000.jsonl").write_bytes(page(f"Of {field}.\nMore."))
        packed = zstd().compress(page(f"Packed {field}.") + page("Second."))
        (tmp_path / field / f"{field}_000001.jsonl.zst").write_bytes(packed)
    return tmp_path


def test_finefineweb_reads_the_fields_of_the_mixture(fields):
    tally = Tally()
    records = list(sources.read("finefineweb", str(fields), None, tally))
    assert tally.records_in == len(records) == 12
    assert records[0] == TextRecord("biology_000000:1", "", "Of biology.\nMore.")
    assert [record.id for record in records[:3]] == [
        "biology_000000:1",
        "biology_000001:1",
        "biology_000001:2",
    ]
    assert {r.id.partition("_")[0] for r in records} == {
        "biology",
        "chemistry",
        "medical",
        "health",
    }


def test_finefineweb_takes_other_fields_one_folder_or_one_file(fields):
    def ids(path, **options):
        found = sources.read("finefineweb", str(path), finefineweb.Options(**options), Tally())
        return [record.id for record in found]

    game = ["game_000000:1", "game_000001:1", "game_000001:2"]
    assert ids(fields, fields=("game",)) == game
    assert ids(fields / "game") == game
    assert ids(fields / "game/game_000001.jsonl.zst", limit=1) == game[1:2]
    assert ids(fields / "game/*.jsonl.zst") == game[1:]
    with pytest.raises(BadInput, match="no folder 'medicine'"):
        ids(fields, fields=("biology", "medicine"))


def test_finefineweb_counts_lines_that_are_no_pages(tmp_path):
    path = tmp_path / "biology_000000.jsonl"
    path.write_bytes(
        page("good")
        + b'{"text": "cut\n'
        + page(" \n")
        + page(None)
        + b'{"content": "x"}\n[]\n{"text": "\xff"}\n\n'
        + page("y" * 10_000_000)
    )
    tally = Tally()
    records = list(sources.read("finefineweb", str(path), None, tally))
    assert [(record.id, len(record.text)) for record in records] == [
        ("biology_000000:1", 4),
        ("biology_000000:9", 10_000_000),
    ]
    assert tally.dropped == {
        "not JSON": 1,
        "empty text": 1,
        "no text": 2,
        "not a JSON object": 1,
        "not UTF-8": 1,
    }
    assert tally.first["no text"] == "biology_000000.jsonl:4"
    assert tally.balanced
