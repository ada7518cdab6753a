"""S2ORC: both of its forms, their annotations, and what is wrong with some."""

import gzip
import json

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import TextRecord
from data_pipeline.sources import s2orc
from data_pipeline.sources.tally import Tally

TEXT = (
    "\nA study of\nlysis \u03bb\nJane Doe\nAbstract\nWe stud-\nied it.\nIntroduction\nFirst one.\n"
    "y = x (1)\nSecond\none.\nMethods\nCells\nWe grew 2 of them.\nReferences\n[1] R."
)


def spans(*parts, text=TEXT, **more):
    found = [
        {"start": text.index(part), "end": text.index(part) + len(part), **more} for part in parts
    ]
    return found


PARAGRAPHS = spans("First one.", "Second\none.", "We grew 2 of them.")
HEADERS = [
    spans("Introduction", attributes={"n": "1."})[0],
    spans("Methods", attributes={"n": "2."})[0],
    spans("Cells", attributes=None)[0],
    spans("References")[0],
]
EXPECTED = (
    "1. Introduction\n\nFirst one.\n\nSecond one.\n\n2. Methods\n\nCells\n\nWe grew 2 of them."
)


def annotations(**lists):
    return {name: None if given is None else json.dumps(given) for name, given in lists.items()}


def older(identifier=1, text=TEXT, **changes):
    lists = {
        "title": spans("A study of\nlysis \u03bb") + spans("Jane Doe"),
        "abstract": spans("We stud-\nied it.") * 2,
        "author": spans("Jane Doe"),
        "bibentry": spans("[1] R."),
        "formula": spans("y = x (1)", attributes={"id": "formula_0"}),
        "paragraph": PARAGRAPHS,
        "sectionheader": HEADERS,
        "table": None,
    }
    return {
        "corpusid": identifier,
        "externalids": {"doi": "10.1/a"},
        "content": {
            "source": {"pdfurls": None, "oainfo": {"license": "CCBY"}},
            "text": text,
            "annotations": annotations(**(lists | changes)),
        },
        "updated": "2023-06-02T05:22:08Z",
    }


def newer(identifier=1, text=TEXT, title="A study", **changes):
    lists = {
        "section_header": HEADERS,
        "paragraph": spans("We stud-\nied it.") + PARAGRAPHS,
        "bib_ref": [],
        "sentence": spans("First one."),
    }
    return {
        "corpusid": identifier,
        "openaccessinfo": {"license": "CCBY"},
        "title": title,
        "authors": [],
        "body": {"text": text, "annotations": annotations(**(lists | changes))},
        "bibliography": {"text": "[1] R.", "annotations": {"bib_entry": "[]"}},
    }


def read(tmp_path, *papers, raw=b"", **options):
    path = tmp_path / "s2orc_v2_part_000.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, papers)).encode() + b"\n" + raw))
    tally = Tally()
    records = list(sources.read("s2orc", str(tmp_path), s2orc.Options(**options), tally))
    assert tally.balanced
    return records, tally


def test_both_forms_give_abstract_headings_and_paragraphs(tmp_path):
    records, tally = read(tmp_path, older(18), newer(19))
    assert records == [
        TextRecord("18", "A study of lysis \u03bb", f"We stud- ied it.\n\n{EXPECTED}"),
        TextRecord("19", "A study", f"We stud- ied it.\n\n{EXPECTED}"),
    ]
    assert (tally.records_in, tally.lost) == (2, {})


def test_spans_may_be_doubled_unordered_nested_or_written_as_text(tmp_path):
    as_text = [{key: str(value) for key, value in span.items()} for span in PARAGRAPHS]
    abstract = spans("We stud-\nied it.\nIntroduction\nFirst one.")  # around a paragraph
    within = spans("grew 2")
    records, _ = read(
        tmp_path,
        older(1, paragraph=as_text[::-1] + as_text),
        older(2, paragraph=PARAGRAPHS + within, abstract=abstract),
        older(3, title=None, abstract=None),
    )
    assert [record.text.removeprefix("We stud- ied it.\n\n") for record in records] == [
        EXPECTED
    ] * 3
    assert [record.title for record in records] == ["A study of lysis \u03bb"] * 2 + [""]
    assert records[1].text == EXPECTED


def test_papers_that_cannot_be_read_are_counted(tmp_path):
    deep = []
    for _ in range(500):
        deep = [deep]
    overlap = [{"start": 1, "end": 20}, {"start": 10, "end": 30}]
    no_text = older(3)
    no_text["content"]["text"] = None
    broken = older(4)
    broken["content"]["annotations"]["paragraph"] = "[{"
    records, tally = read(
        tmp_path,
        older(1),
        newer(2, paragraph=[]),
        newer(2, paragraph=None),
        no_text,
        {"corpusid": 5},
        broken,
        newer(6, paragraph=[{"start": 1}]),
        newer(6, paragraph=7),
        newer(6, paragraph=[7]),
        newer(6, paragraph=[{"start": 1e999, "end": 2}]),
        newer(6, title=None, paragraph=deep),
        newer(7, paragraph=[{"start": 5, "end": len(TEXT) + 1}]),
        newer(7, paragraph=[{"start": -5, "end": 5}]),
        newer(8, paragraph=overlap, section_header=[]),
        newer(None),
        raw=b'{"corpusid": \xff}\n{cut',
    )
    assert [record.id for record in records] == ["1"]
    assert tally.dropped == {
        "no paragraphs": 2,
        "no full text": 2,
        "annotations are no lists of spans": 6,
        "annotations reach beyond the text": 2,
        "annotations overlap": 1,
        "no corpusid": 1,
        "not UTF-8": 1,
        "not JSON": 1,
    }


def test_a_paper_of_10_megabytes_and_a_limit(tmp_path):
    text = "word " * 2_000_000
    paper = newer(1, text, paragraph=[{"start": 0, "end": len(text)}], section_header=None)
    (record,), tally = read(tmp_path, paper, paper, limit=1)
    assert len(record.text) == 9_999_999
    assert tally.records_in == 1


def test_damage_stops_with_one_line(tmp_path):
    path = tmp_path / "part.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(older()).encode())[:-9])
    with pytest.raises(BadInput, match=r"part\.jsonl\.gz: damaged or truncated gzip"):
        list(sources.read("s2orc", str(tmp_path), None, Tally()))
