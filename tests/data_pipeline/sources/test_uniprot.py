"""UniProtKB: the same from the flat file and from XML, prose without evidence, faults counted."""

import gzip

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.sources.tally import Tally
from tests.data_pipeline.sources.uniprot_files import (
    FLAT,
    SEQUENCE,
    XML_ENTRY,
    XML_HEAD,
    flat_entry,
    xml,
    xml_entry,
)
from tests.structure.protein.structures import pdb_text

TEXTS = {
    "Other names": "K1; First kinase; CD999",
    "EC number": "2.7.11.1; 3.4.21.-",
    "Gene": "KIN1A; At1g1",
    "Organism": "Homo sapiens (Human)",
    "Function": (
        "Binds N6-methyladenosine (m6A)-containing RNAs, in pre- and post-synaptic cells. Shown in "
        "PubMed:1234 to act - or to bind - alone. [Isoform 2]: Does not bind."
    ),
    "Catalytic activity": "ATP + L-seryl-[protein] = ADP + H(+) + O-phospho-L-seryl-[protein].",
    "Cofactor": "Mg(2+), Mn(2+). Binds 2 magnesium ions. Also active with manganese.",
    "Biophysicochemical properties": (
        "Kinetic parameters: KM=98 uM for ATP (at pH 7.5 and 25 degrees Celsius); Vmax=1.604 "
        "mmol/min/mg enzyme; Slow. pH dependence: Optimum pH is 7.75."
    ),
    "Subcellular location": (
        "Cell membrane; Multi-pass membrane protein; Cytoplasmic side. Nucleus. Moves at night."
    ),
    "Post-translational modification": "Cleaved.",
    "Disease": "Kinase deficiency (KD): A rare one. The disease is caused by variants.",
    "Similarity": "Belongs to the kinase family.",
    "GO molecular function": "ATP binding; RNA binding",
    "GO biological process": "protein phosphorylation",
    "GO cellular component": "cytosol",
    "Keywords": "ATP-binding; Host-virus interaction; Kinase",
}


def read(path, content: bytes, **options):
    path.write_bytes(content)
    tally = Tally()
    module = sources.reader("uniprot")
    records = list(sources.read("uniprot", str(path), module.Options(**options), tally))
    assert tally.balanced
    return records, tally


@pytest.mark.parametrize(
    ("name", "text"), [("a.dat.gz", FLAT), ("a.xml.gz", xml(XML_ENTRY))], ids=["flat", "XML"]
)
def test_both_formats_give_the_same_record(tmp_path, name, text):
    [record], tally = read(tmp_path / name, gzip.compress(text.encode()))
    assert (record.id, record.title, record.sequence) == ("P12345", "Kinase; one", SEQUENCE)
    assert dict(record.texts) == TEXTS
    assert list(record.texts) == list(TEXTS)
    assert (record.chain, record.backbone, record.confidence) == ("", None, None)
    assert not tally.lost


def test_fasta_has_name_gene_and_organism(tmp_path):
    content = b"""\
>sp|Q8AWH3|SX17A_XENTR Transcription factor Sox-17-alpha OS=Xenopus tropicalis OX=8364 GN=sox17a \
PE=2 SV=1
MSSPD
GGYA
>tr|M4KW32|M4KW32_BACIU Transporter (ATP=ADP) (Fragment) OS=Bacillus subtilis (strain 168) \
GN=opuBA PE=4 SV=1 Split=0
MKV
>tr|A0A1|A0A1_9ZZZZ Uncharacterized protein
MAA
>mine of another kind
MCC
>sp|P1|P1_HUMAN Lower OS=Homo sapiens
MkV
"""
    records, tally = read(tmp_path / "a.fasta.gz", gzip.compress(content))
    assert [(r.id, r.title, r.sequence, dict(r.texts)) for r in records] == [
        (
            "Q8AWH3",
            "Transcription factor Sox-17-alpha",
            "MSSPDGGYA",
            {"Gene": "sox17a", "Organism": "Xenopus tropicalis"},
        ),
        (
            "M4KW32",
            "Transporter (ATP=ADP)",
            "MKV",
            {"Gene": "opuBA", "Organism": "Bacillus subtilis (strain 168)"},
        ),
        ("A0A1", "Uncharacterized protein", "MAA", {}),
        ("mine", "", "MCC", {}),
    ]
    assert tally.lost == {"no name": 1}
    assert tally.dropped == {"sequence with lower-case letters": 1}


def test_the_content_says_which_format_it_is(tmp_path):
    for text in (FLAT, xml(XML_ENTRY)):
        [record], _ = read(tmp_path / "nameless", text.encode())
        assert record.id == "P12345"


def test_names_that_submitters_gave_are_titles_too(tmp_path):
    entry = flat_entry("A0A000", "MK", "SubName: Full=Seen protein {ECO:0000313|EMBL:ABC.1};")
    [record], _ = read(tmp_path / "a.dat", entry.encode())
    assert (record.title, dict(record.texts)) == ("Seen protein", {})
    [record], _ = read(tmp_path / "a.xml", xml(xml_entry("A0A001", "MK")).encode())
    assert (record.title, dict(record.texts)) == ("Some protein", {})
    [record], tally = read(tmp_path / "a.dat", flat_entry("A", "MK", "OLD STYLE NAME.").encode())
    assert (record.title, tally.lost) == ("", {"no name": 1})


def test_a_gene_without_a_name_is_none(tmp_path):
    text = flat_entry("P00001", "MK").replace("\nSQ ", "\nGN   Name=;\nSQ ")
    assert "GN   Name=;" in text
    [record], _ = read(tmp_path / "a.dat", text.encode())
    assert record.texts == {}


def test_a_namespace_may_stand_in_the_entry(tmp_path):
    """As in downloads of single entries."""
    entry = XML_ENTRY.replace("<entry ", '<entry xmlns="http://uniprot.org/uniprot" ')
    [record], _ = read(tmp_path / "a.xml", xml(entry).encode())
    assert dict(record.texts) == TEXTS


def test_unusable_entries_of_a_flat_file_are_counted(tmp_path):
    entries = [
        flat_entry("A1", "MK"),
        flat_entry("A2", "MKv"),
        flat_entry("A3", "MK*"),
        flat_entry("A4", "MKV").replace("3 AA", "4 AA"),
        flat_entry("A5", ""),
        flat_entry("A6", "MK").replace("AC   A6;\n", ""),
        flat_entry("A7", "MK").replace("Some", "S\xf6me"),
        flat_entry("A8", "MK"),
    ]
    content = "".join(entries).encode("latin-1")
    records, tally = read(tmp_path / "a.dat", content)
    assert [record.id for record in records] == ["A1", "A8"]
    assert tally.records_in == 8
    assert tally.dropped == {
        "sequence with lower-case letters": 1,
        "sequence with a stop (*)": 1,
        "sequence of another length than the ID line says: damaged or cut short": 1,
        "no sequence": 1,
        "no accession (AC line)": 1,
        "not UTF-8": 1,
    }
    assert tally.first["sequence with lower-case letters"] == "A2"
    assert tally.first["not UTF-8"] == "a.dat, entry 7"
    records, tally = read(tmp_path / "a.dat", content, limit=2)
    assert (len(records), tally.records_in) == (1, 2)
    records, _ = read(tmp_path / "a.dat", content.removesuffix(b"\n"))
    assert len(records) == 2


def test_unusable_entries_of_xml_are_counted(tmp_path):
    entries = [
        xml_entry("A1", "MK"),
        xml_entry("A2", "M-K"),
        xml_entry("A3", "MKV").replace('"3"', '"4"'),
        xml_entry("A4", "MK").replace("</fullName>", "<fullName>"),
        xml_entry("A5", "MK").replace("<accession>A5</accession>", ""),
        xml_entry("A6", "MK").replace("Some", "S\xf6me"),
        xml_entry("A7", "MK"),
    ]
    records, tally = read(tmp_path / "a.xml", xml(*entries).encode("latin-1"))
    assert [record.id for record in records] == ["A1", "A7"]
    assert tally.records_in == 7
    assert tally.dropped == {
        "sequence with gaps": 1,
        "sequence of another length than its element says: damaged": 1,
        "broken XML": 2,
        "no accession": 1,
    }
    assert tally.first["broken XML"] == "a.xml, entry 4"


def test_a_long_entry_does_not_stop_the_others(tmp_path):
    long = "MKVLA" * 2_000_000
    content = flat_entry("A1", "MK") + flat_entry("A2", long) + flat_entry("A3", "MV")
    records, _ = read(tmp_path / "a.dat", content.encode())
    assert [len(record.sequence) for record in records] == [2, 10**7, 2]
    content = xml(xml_entry("A1", "MK"), xml_entry("A2", long), xml_entry("A3", "MV"))
    records, _ = read(tmp_path / "a.xml", content.encode())
    assert [len(record.sequence) for record in records] == [2, 10**7, 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.dat", FLAT[:-500].encode(), r"a\.dat: ends without //"),
        ("a.dat", b"hello\n", r"a\.dat: ends without //: no UniProtKB flat file"),
        ("a.xml", XML_HEAD.encode() + XML_ENTRY.encode(), r"a\.xml: ends without </uniprot>"),
        ("a.xml", xml(XML_ENTRY)[:-900].encode(), r"a\.xml: ends without </uniprot>"),
        ("a.xml", b"<html></html>", r"a\.xml: ends without </uniprot>: no UniProtKB XML"),
        ("a.dat.gz", gzip.compress(FLAT.encode() * 9)[:-99], "damaged or truncated gzip"),
        ("a.xml", xml().encode(), r"a\.xml: no usable record \(0 in; 0 out\)"),
    ],
)  # fmt: skip
def test_files_that_are_cut_short_or_of_another_kind_are_one_line(tmp_path, name, content, message):
    with pytest.raises(BadInput, match=message) as error:
        read(tmp_path / name, content)
    assert "\n" not in str(error.value)


@pytest.fixture
def folder(tmp_path):
    """Models of alanines: one that fits its entry, one of another sequence, one that is empty."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "AF-A1-F1-model_v4.pdb").write_text(pdb_text(range(1, 5), b_factor=90) + "END\n")
    (folder / "AF-A2-F1-model_v4.pdb.gz").write_bytes(gzip.compress(pdb_text([1, 2]).encode()))
    (folder / "AF-A3-F1-model_v4.pdb").touch()
    return str(folder)


def test_structures_come_from_models_of_the_same_sequence(tmp_path, folder):
    entries = [flat_entry("A1", "AAAA"), flat_entry("A2", "AK"), flat_entry("A3", "A")]
    content = "".join([*entries, flat_entry("A4", "A")]).encode()
    records, tally = read(tmp_path / "a.dat", content, structures=folder)
    assert [record.backbone is None for record in records] == [False, True, True, True]
    assert [record.confidence is None for record in records] == [False, True, True, True]
    np.testing.assert_array_equal(records[0].confidence, np.full(4, 90, np.float32))
    np.testing.assert_array_equal(records[0].backbone[2, :, 0], np.float32([7.6, 7.7, 7.8, 7.9]))
    assert tally.lost == {
        "structure: of another sequence": 1,
        "structure: empty file": 1,
        "structure: no model": 1,
    }
    assert tally.first["structure: of another sequence"] == "A2"
    for limits, reason in (
        ({"min_plddt": 91}, "structure: mean pLDDT below 91"),
        ({"max_residues": 3}, "structure: longer than 3 residues: cut it into domains"),
    ):
        records, tally = read(tmp_path / "a.dat", content, structures=folder, **limits)
        assert [record.backbone for record in records] == [None] * 4
        assert tally.first[reason] == "A1"


def test_structures_that_are_not_there_are_one_line(tmp_path):
    with pytest.raises(BadInput, match="no such folder of models"):
        read(tmp_path / "a.dat", FLAT.encode(), structures=str(tmp_path / "none"))
    with pytest.raises(BadInput, match="min_plddt must be from 0 to 100, not 200"):
        read(tmp_path / "a.dat", FLAT.encode(), min_plddt=200)
