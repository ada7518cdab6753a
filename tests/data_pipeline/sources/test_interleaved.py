"""Documents with mentions: from annotations in them, beside them, or from a dictionary."""

# ruff: noqa: RUF001  Greek letters and dashes are what is tested

import gzip
import json
from pathlib import Path

import pytest

from biomatrix_jax.config import from_dict
from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.entities import store
from data_pipeline.entities.table import entries
from data_pipeline.records import InterleavedRecord, Mention, TextRecord
from data_pipeline.sources.interleaved import Options
from data_pipeline.sources.tally import Tally

ARGININE = "N=C(N)NCCCC(N)C(=O)O"
TABLE = (
    "identifier\tkind\tstring\tnames\n"
    "mesh:D001120\tmolecule\tOC(=O)C(N)CCCNC(N)=N\targinine\n"
    "mesh:D000431\tmolecule\tOCC\tethanol\n"
    "NCBIGene:7157\tprotein\tMEEPQSDPSV\tp53|tumor protein p53\n"
    "x:1\tmolecule\tC1CC\tunobtainium\n"
)
TEXT = "β-Arginine? Arginine and TNF-α: p53 binds\nethanol; ethanol–arginine, unobtainium."
MENTIONS = (
    Mention(12, 20, "molecule", ARGININE),
    Mention(32, 35, "protein", "MEEPQSDPSV"),
    Mention(42, 49, "molecule", "CCO"),
)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "entities.tsv").write_text(TABLE)
    return tmp_path


def read(path, tally=None, **options):
    tally = Tally() if tally is None else tally
    records = list(sources.read("interleaved", path and str(path), Options(**options), tally))
    assert tally.balanced
    assert len(records) == tally.records_out
    return records, tally


def bern2(text, *annotations):
    """An answer of BERN2 to a text of which it has seen `text`."""
    return {
        "text": text,
        "annotations": [
            {
                "id": ids,
                "is_neural_normalized": False,
                "mention": mention,
                "obj": obj,
                "prob": 0.9,
                "span": {"begin": begin, "end": begin + len(mention)},
            }
            for mention, obj, ids, begin in annotations
        ],
        "timestamp": "Thu Dec 23 04:12:28 +0000 2021",
    }


SEEN = TEXT.replace("\n", " ").encode("ascii", "ignore").decode()
ANSWER = bern2(
    SEEN,
    ("Arginine", "drug", ["mesh:D001120"], 11),
    ("TNF-", "gene", ["NCBIGene:7124"], 24),
    ("p53", "gene", ["EntrezGene:7157"], 30),
    ("ethanol", "drug", ["mesh:D000431"], 40),
    ("ethanol", "drug", ["mesh:D000431"], 49),
    ("arginine", "drug", ["CUI-less"], 56),
    ("unobtainium", "drug", ["x:1"], 66),
    ("binds", "disease", ["mesh:D009369"], 34),
)


def test_by_name(place):
    (place / "a.jsonl").write_text(
        json.dumps({"id": "1", "title": "On arginine", "text": TEXT})
        + "\n"
        + json.dumps({"id": "2", "text": "nothing"})
        + "\n[]\n"
    )
    entities = str(place / "entities.tsv")
    records, tally = read(place / "a.jsonl", entities=entities)
    assert records == [
        InterleavedRecord("1", "On arginine", TEXT, MENTIONS),
        TextRecord("2", "", "nothing"),
    ]
    assert (tally.records_in, tally.dropped) == (3, {"not a JSON object": 1})
    assert tally.lost == {"SMILES does not parse": 1}
    assert tally.first == {"not a JSON object": "a.jsonl:3", "SMILES does not parse": "1"}

    records, tally = read(place / "a.jsonl", entities=entities, first_mention_only=False)
    assert [TEXT[m.start : m.end] for m in records[0].mentions] == [
        "Arginine",
        "p53",
        "ethanol",
        "ethanol",
        "arginine",
    ]
    records, tally = read(place / "a.jsonl", entities=entities, mentioning_only=True)
    assert [record.id for record in records] == ["1"]
    assert tally.dropped == {"not a JSON object": 1, "mentions no entity of the table": 1}
    assert tally.records_in == 3


def test_annotations_beside_the_documents_fit_the_documents_own_text(place):
    (place / "docs.jsonl.gz").write_bytes(
        gzip.compress(
            "\n".join(
                json.dumps({"id": key, "title": "T", "text": text})
                for key, text in [("1", TEXT), ("2", "other"), ("3", "no one"), ("4", SEEN)]
            ).encode()
        )
    )
    annotated = [{"pmid": key, **ANSWER} for key in ("1", "2", "4")]
    (place / "bern2.json").write_text(json.dumps(annotated))
    lost = {
        "unknown identifier": 2,
        "no identifier": 2,
        "SMILES does not parse": 2,
        "the annotated text is another one": 1,
        "no annotations of the document": 1,
    }
    store.write(place / "bern2.sqlite", ((one["pmid"], json.dumps(one)) for one in annotated))
    store.write(place / "entities.sqlite", entries(place / "entities.tsv"))
    for suffix in ("json", "sqlite"):
        records, tally = read(
            place / "docs.jsonl.gz",
            annotations=str(place / f"bern2.{suffix}"),
            entities=str(place / f"entities.{'tsv' if suffix == 'json' else suffix}"),
        )
        assert records[0] == InterleavedRecord("1", "T", TEXT, MENTIONS)
        assert records[1:3] == [TextRecord("2", "T", "other"), TextRecord("3", "T", "no one")]
        assert [SEEN[m.start : m.end] for m in records[3].mentions] == [
            "Arginine",
            "p53",
            "ethanol",
        ]
        assert tally.lost == lost


def test_abstracts_of_pubmed_take_annotations_of_title_and_abstract(place):
    (place / "pubmed.xml").write_text(
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID Version='1'>77</PMID><Article>"
        "<ArticleTitle>On arginine.</ArticleTitle><Abstract>"
        "<AbstractText Label='AIM'>β-Ethanol and <i>p53</i>.</AbstractText>"
        "<AbstractText Label='RESULTS'>Ethanol acts.</AbstractText>"
        "</Abstract></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>"
    )
    answer = bern2(  # to the title and the abstract as PubMed's own format has them
        "On arginine. AIM: -Ethanol and p53. RESULTS: Ethanol acts.",
        ("arginine", "drug", ["mesh:D001120"], 3),
        ("p53", "gene", ["NCBIGene:7157"], 31),
        ("Ethanol", "drug", ["mesh:D000431"], 45),
    )
    (place / "bern2.json").write_text(json.dumps({"pmid": "77", **answer}))
    (record,), tally = read(
        place / "pubmed.xml",
        documents="pubmed",
        annotations=str(place / "bern2.json"),
        entities=str(place / "entities.tsv"),
    )
    assert record.id == "77"
    assert record.title == "On arginine."
    assert record.text == "AIM: β-Ethanol and p53.\n\nRESULTS: Ethanol acts."
    named = [(record.text[m.start : m.end], m.start, m.kind) for m in record.mentions]
    assert named == [("p53", 19, "protein"), ("Ethanol", 34, "molecule")]
    assert tally.lost == {"mention outside of the document": 1}
    with pytest.raises(BadInput, match=r"1 dropped: no abstract in the languages"):
        read(place / "pubmed.xml", documents="pubmed", document_options={"languages": ["spa"]})


def test_annotated_documents_bring_their_text(place):
    (place / "a.jsonl").write_text(
        json.dumps({"pmid": "30429607", **ANSWER}) + "\n{\n" + json.dumps(ANSWER) + "\n"
    )
    (place / "b.pubtator").write_text(
        "9|t|Ethanol.\n9|a|And\n9\t0\t7\tEthanol\tChemical\tMESH:D000431\n"
    )
    options = {"documents": "annotated", "entities": str(place / "entities.tsv")}
    records, tally = read(place, **options)
    assert [record.id for record in records] == ["30429607", "a.jsonl:3", "9"]
    assert [len(record.mentions) for record in records] == [3, 3, 1]
    assert records[0].text == SEEN
    assert records[2].text == "Ethanol. And"
    assert tally.dropped == {"not JSON": 1}
    assert tally.lost["unknown identifier"] == 2
    assert read(place, **options, limit=3)[1].records_in == 3
    records, _ = read(place / "a.jsonl", **options, probability=0.91)
    assert not any(isinstance(record, InterleavedRecord) for record in records)


def test_the_box_has_text_and_entities():
    records, tally = read(None, limit=300, mentioning_only=True)
    assert tally.records_in == 300
    by_id = {record.id: record for record in records}
    assert by_id["GO:0000156"].mentions == (Mention(230, 239, "molecule", "NC(Cc1c[nH]cn1)C(=O)O"),)
    assert by_id["GO:0000156"].text[230:239] == "histidine"
    assert 20 < len(records) < 150


def test_a_large_record_and_a_truncated_file(place):
    text = "arginine " + "x " * 5_000_000
    (place / "a.jsonl").write_text(json.dumps({"id": "1", "text": text}))
    records, _ = read(place / "a.jsonl", entities=str(place / "entities.tsv"))
    assert records[0].mentions == (Mention(0, 8, "molecule", ARGININE),)
    line = b'{"id": "1", "text": "arginine"}\n[]\n'
    (place / "b.jsonl.gz").write_bytes(gzip.compress(line * 3000)[:-10])
    tally = Tally()
    with pytest.raises(BadInput, match=r"b\.jsonl\.gz: damaged or truncated gzip"):
        read(place / "b.jsonl.gz", tally)
    assert tally.balanced
    assert tally.records_in > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, "probability must be from 0 to 1, not 1.5"),
        ({"documents": "annotated", "annotations": "a.json"}, "leave annotations out"),
        ({"documents": "interleaved"}, "name a text reader"),
        ({"documents": "annotated", "document_options": {"a": 1}}, "no document_options"),
        ({"document_options": {"limit": 3}}, "the limit is that of interleaved itself"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(BadInput, match=message):
        from_dict(Options, options, "recipe")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"documents": "tekst"}, "no reader is called 'tekst': did you mean text"),
        ({"documents": "nci"}, "the reader nci gives no documents: name a text reader"),
        (
            {"documents": "pubmed", "document_options": {"language": ["spa"]}},
            "document_options of pubmed: unknown key language; did you mean languages",
        ),
        ({"entities": "/none.tsv"}, "/none.tsv: No such file"),
        ({"annotations": "/none.sqlite"}, "/none.sqlite does not exist"),
        ({"documents": "annotated"}, "interleaved: no data in the box"),
    ],
)
def test_what_is_missing_is_named(options, message):
    with pytest.raises(BadInput, match=message) as error:
        read(None, **options, limit=1)
    assert "\n" not in str(error.value)


def test_files_beside_are_those_of_the_documents_too():
    """What decides the records: a build that goes on must see that one of them changed."""
    options = Options(
        documents="pubmed", document_options={"deleted": "gone.txt"}, entities="table.sqlite"
    )
    assert options.paths_beside([]) == [Path("table.sqlite"), Path("gone.txt")]
