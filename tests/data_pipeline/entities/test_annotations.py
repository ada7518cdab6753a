"""Files of BERN2 and PubTator: their documents and annotations, and what is wrong with them."""

# ruff: noqa: RUF001  Greek letters and dashes are what is tested

import gzip
import json

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.entities import annotations
from data_pipeline.entities.annotations import documents, open_annotations
from data_pipeline.entities.bern2 import Annotation, parse

TEXT = "Autophagy maintains tumour growth through circulating arginine."


def annotation(mention, obj, ids, text=TEXT, prob=0.98, **more):
    begin = text.index(mention)
    span = {"begin": begin, "end": begin + len(mention)}
    one = {"id": ids, "mention": mention, "obj": obj, "prob": prob, "span": span}
    return {"is_neural_normalized": False, **one, **more}


# What BERN2's documentation shows as its answer to this sentence.
ANSWER = {
    "annotations": [
        annotation("tumour", "disease", ["mesh:D009369"]),
        annotation("arginine", "drug", ["mesh:D001120"]),
    ],
    "text": TEXT,
    "timestamp": "Thu Dec 23 04:12:28 +0000 2021",
}
# In the PubTator format, the beginning of a document of the corpus BC5CDR with facts of its own.
PUBTATOR = (
    "227508|t|Naloxone reverses the antihypertensive effect of clonidine.\n"
    "227508|a|In rats, nalozone and GNAT1 (α-type) ... clonidine.\n"
    "227508\t0\t8\tNaloxone\tChemical\tD009270\n"
    "227508\t49\t58\tclonidine\tChemical\tMESH:D003000\n"
    "227508\t69\t77\tnalozone\tChemical\t-1\n"
    "227508\t63\t67\trats\tSpecies\t10116\n"
    "227508\t82\t87\tGNAT1\tGene\t2779;14685\n"
    "227508\t101\t110\tclonidine\tChemical\tMESH:D003000\n"
    "227508\tCID\tMESH:D003000\tMESH:D007022\n"
    "\n"
)


def read(path):
    lost = []
    return [parse(entry, lost.append) for _, entry in documents(path)], lost


@pytest.mark.parametrize(
    ("name", "content", "keys"),
    [
        ("a.jsonl", json.dumps(ANSWER) + "\n" + json.dumps(ANSWER), ["", ""]),
        ("a.json", json.dumps(ANSWER, indent=4), [""]),
        ("a.json", json.dumps([{"pmid": "1", **ANSWER}, {"pmid": 2, **ANSWER}]), ["1", "2"]),
        ("a.json", "[{\n" + json.dumps({"pmid": "1", **ANSWER})[1:] + "]", ["1"]),
        ("a.json", json.dumps([{"pmid": "1", **ANSWER}], indent=2), ["1"]),
        ("a.json", f"[{json.dumps(ANSWER)},\n{json.dumps(ANSWER)}]", ["", ""]),
    ],
)
def test_answers_of_bern2_in_every_layout(tmp_path, name, content, keys):
    (tmp_path / name).write_text(content)
    found, lost = read(tmp_path / name)
    assert [document.key for document in found] == keys
    assert not lost
    for document in found:  # the disease has no string to insert
        assert document.text == TEXT
        assert document.annotations == (Annotation(54, 62, ("mesh:D001120",), 0.98),)


def test_pubtator(tmp_path):
    (tmp_path / "a.pubtator").write_bytes(PUBTATOR.encode() + PUBTATOR.rstrip("\n").encode())
    found, lost = read(tmp_path / "a.pubtator")
    assert len(found) == 2
    assert found[0] == found[1]
    text = found[0].text
    assert found[0].key == "227508"
    assert text.startswith("Naloxone reverses the antihypertensive effect of clonidine. In rats")
    assert [(text[a.start : a.end], a.identifiers) for a in found[0].annotations] == [
        ("Naloxone", ("mesh:D009270",)),
        ("clonidine", ("MESH:D003000",)),
        ("nalozone", ("-1",)),
        ("GNAT1", ("NCBIGene:2779", "NCBIGene:14685")),
        ("clonidine", ("MESH:D003000",)),
    ]
    assert not lost


def test_old_and_joined_identifiers_and_null_probabilities():
    one = annotation("arginine", "gene", ["OMIM:608627,MESH:C563895|EntrezGene:1"], prob=None)
    document = parse({"text": TEXT, "annotations": [one]}, pytest.fail)
    assert document.annotations == (
        Annotation(54, 62, ("OMIM:608627", "MESH:C563895", "EntrezGene:1"), 1.0),
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mention": "Arginine"}, "span is not the mention"),
        ({"span": {"begin": 54, "end": 65}}, "span outside of the text"),
        ({"span": {"begin": 54, "end": 54}}, "span outside of the text"),
        ({"span": {"begin": -9, "end": 62}}, "span outside of the text"),
        ({"span": {"begin": 54.0, "end": 62}}, "span outside of the text"),
        ({"span": None}, "annotation without obj, id or span"),
        ({"id": None}, "annotation without obj, id or span"),
        ({"id": [["mesh:D001120"]]}, "annotation without obj, id or span"),
        ({"prob": "high"}, "annotation without obj, id or span"),
        ({"prob": 10**400}, "annotation without obj, id or span"),
    ],
)
def test_a_bad_annotation_is_lost_alone(change, reason):
    lost = []
    good, bad = (annotation("arginine", "drug", ["mesh:D001120"]) for _ in range(2))
    document = parse({"text": TEXT, "annotations": [bad | change, good, "x", {}]}, lost.append)
    assert len(document.annotations) == 1
    assert lost == [reason, *["annotation without obj, id or span"] * 2]


def test_spans_count_characters_not_bytes():
    text = "β-carotene und Ünïcode 🧬 arginine"
    one = annotation("arginine", "drug", ["mesh:D001120"], text=text)
    assert one["span"]["begin"] == 25
    (found,) = parse({"text": text, "annotations": [one]}, pytest.fail).annotations
    assert text[found.start : found.end] == "arginine"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b'{"text": "a"}', "no annotations"),
        (b'{"pmid": "1", "text": "", "annotations": []}', "no text"),  # an unknown PubMed id
        (b'{"error_message": "Something went wrong. Try again."}', "no text"),
        (b'"text"', "not a JSON object"),
        (b"\xff{}", "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not a JSON object"),
    ],
)
def test_a_line_that_is_no_document_says_why_and_the_others_go_on(tmp_path, line, reason):
    good = json.dumps(ANSWER).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([good, line, b" ", good]))
    entries = [entry for _, entry in documents(tmp_path / "a.jsonl")]
    assert len(entries) == 3
    with pytest.raises(BadInput) as error:
        parse(entries[1], pytest.fail)
    assert str(error.value) == reason
    assert parse(entries[2], pytest.fail).text == TEXT


def test_damage_to_a_whole_file_is_raised(tmp_path):
    whole = tmp_path / "a.json"
    whole.write_text(json.dumps(ANSWER, indent=1)[:-9])
    with pytest.raises(BadInput, match=r"a\.json: not JSON: fetch it again"):
        list(documents(whole))
    cut = tmp_path / "a.jsonl.gz"
    cut.write_bytes(gzip.compress((json.dumps(ANSWER) + "\n").encode() * 999)[:-20])
    with pytest.raises(BadInput, match="damaged or truncated gzip"):
        list(documents(cut))
    with pytest.raises(BadInput, match="No such file"):
        list(documents(tmp_path / "none.json"))
    (tmp_path / "empty.json").touch()
    assert list(documents(tmp_path / "empty.json")) == []


@pytest.mark.parametrize(
    "block",
    [
        b"1|t|title\n1\t0\t5\ttitle\tChemical\tD000001\n",
        b"1|t|title\n1|a|\xff\n",
    ],
)
def test_a_broken_document_of_pubtator_is_one(tmp_path, block):
    (tmp_path / "a.pubtator").write_bytes(PUBTATOR.encode() + block + b"\n" + PUBTATOR.encode())
    kinds = [isinstance(entry, BadInput) for _, entry in documents(tmp_path / "a.pubtator")]
    assert kinds == [False, True, False]
    places = [where for where, _ in documents(tmp_path / "a.pubtator")]
    assert places[1] == "a.pubtator:11"


def test_documents_are_found_by_id(tmp_path, monkeypatch):
    one, two = ({"pmid": "7", **ANSWER}, {"pmid": "7", **ANSWER, "text": "another"})
    (tmp_path / "a.jsonl").write_text(json.dumps([one, two, ANSWER]) + "\n{\n")
    (tmp_path / "b.pubtator").write_text(PUBTATOR)
    out = tmp_path / "all.sqlite"
    arguments = ["annotations", str(tmp_path / "a.jsonl"), str(tmp_path / "b.pubtator")]
    monkeypatch.setattr("sys.argv", [*arguments, "--out", str(out)])
    annotations.main()
    for path in (tmp_path / "a.jsonl", out):
        found = open_annotations(path)
        assert found.find("pubmed:7") == found.find("7") == one
        assert found.find("8") is None
    assert open_annotations(out).find("pmid:227508")["text"].startswith("Naloxone")


def test_a_place_of_thousands_of_digits_loses_its_annotation_alone(tmp_path):
    line = "1\t{}\t4\tATP\tChemical\tD000255\n"
    text = "1|t|ATP is here.\n1|a|So it is.\n" + line.format("9" * 5000)
    (tmp_path / "a.pubtator").write_text(text)
    [(_, entry)] = documents(tmp_path / "a.pubtator")
    lost = []
    assert parse(entry, lost.append).annotations == ()
    assert lost == ["span outside of the text"]
