"""The shipped assets are what their PROVENANCE.md says, and their scripts do what they say."""

import csv
import gzip
import hashlib
import json
import re
import sqlite3

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.assets import make_proteins, make_text
from data_pipeline.assets.reproducible import write_gzip
from data_pipeline.sources import text, wwpdb
from data_pipeline.sources.tally import Tally

ASSETS = text.IN_THE_BOX.parents[1]


def test_text_asset_is_the_one_its_provenance_describes():
    provenance = (ASSETS / "text/PROVENANCE.md").read_text()
    packed = text.IN_THE_BOX.read_bytes()
    plain = gzip.decompress(packed)
    assert (
        re.search(r"asset \| sha256 `(\w+)`", provenance)[1] == hashlib.sha256(packed).hexdigest()
    )
    found = re.search(r"uncompressed \| sha256 `(\w+)`", provenance)[1]
    assert found == hashlib.sha256(plain).hexdigest()
    assert "CC BY 4.0" in provenance


def test_text_asset_is_readable_prose_without_repetition():
    records = [
        json.loads(line) for line in gzip.decompress(text.IN_THE_BOX.read_bytes()).splitlines()
    ]
    assert len(records) == make_text.RECORDS
    assert [r["id"] for r in records] == sorted({r["id"] for r in records})
    assert all(set(r) == {"id", "title", "text"} for r in records)
    assert all(r["title"] in r["text"] and r["text"].endswith(".") for r in records)
    assert 200_000 < sum(len(r["text"]) for r in records) < 500_000
    by_id = {r["id"]: r for r in records}
    assert by_id["GO:0016161"]["text"].startswith(
        "Molecular function: beta-amylase activity. Catalysis of the reaction: "
        "(1,4-alpha-D-glucosyl)(n+1) + H2O = "
    )


def _definition(topic: str, length: int) -> str:
    return (
        " ".join(f"{topic}{i}" for i in range(length // (len(topic) + 3))).ljust(length - 1, "x")
        + "."
    )


def test_selection_drops_near_copies_and_definitions_that_are_no_prose():
    first, second = _definition("alpha", 400), _definition("beta", 400)
    terms = [
        ("GO:1", "one", "BP", first),
        ("GO:2", "two", "CC", first.replace("alpha1 ", "other ")),
        ("GO:3", "three", "MF", "too  short"),
        ("GO:4", "four", "MF", second.replace("beta1 ", "beta1 \n ")),
        ("GO:5", "five", "MF", _definition("gamma", 2000)),
    ]
    records = {r["id"]: r for r in make_text.select(terms, count=10)}
    assert len(records) == 2
    assert len(records.keys() & {"GO:1", "GO:2"}) == 1
    assert records["GO:4"] == {
        "id": "GO:4",
        "title": "four",
        "text": f"Molecular function: four. {second}",
    }
    assert len(list(make_text.select(terms, count=1))) == 1
    assert list(make_text.select(reversed(terms), count=10)) == list(
        make_text.select(terms, count=10)
    )


def test_terms_come_from_the_database_or_from_nowhere(tmp_path):
    path = tmp_path / "GO.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE go_term (go_id, term, ontology, definition)")
        rows = [("GO:2", "b", "BP", "text"), ("GO:1", "a", "CC", "more"), ("all", "all", "u", None)]
        database.executemany("INSERT INTO go_term VALUES (?, ?, ?, ?)", rows)
    assert make_text.read_terms(path) == [rows[1], rows[0]]
    (tmp_path / "text.txt").write_text("not a database, but long enough to be looked at\n" * 40)
    for bad in (tmp_path / "text.txt", tmp_path / "absent"):
        with pytest.raises(BadInput, match=re.escape(str(bad))):
            make_text.read_terms(bad)


def test_gzipped_assets_depend_on_their_content_alone(tmp_path):
    write_gzip(tmp_path / "a.gz", "Ångström\n")
    write_gzip(tmp_path / "other-name.gz", "Ångström\n")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "other-name.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()).decode() == "Ångström\n"


@pytest.fixture(scope="module")
def protein_table() -> list[dict[str, str]]:
    with (ASSETS / "proteins/ENTRIES.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_protein_assets_are_the_ones_their_table_describes(protein_table):
    files = {path.name: path for path in (ASSETS / "proteins").glob("*.pdb.gz")}
    assert len(files) == len(protein_table) == len(make_proteins.ENTRIES) == 35
    for row, entry in zip(protein_table, make_proteins.ENTRIES, strict=True):
        text = gzip.decompress(files[f"{row['id'].lower()}-backbone.pdb.gz"].read_bytes())
        assert hashlib.sha256(text).hexdigest() == row["sha256"]
        assert (row["id"], row["chains"], row["source"]) == (entry.id, entry.chains, entry.source)
    assert sum(path.stat().st_size for path in files.values()) < 1_500_000
    provenance = (ASSETS / "proteins/PROVENANCE.md").read_text()
    assert "CC0" in provenance
    assert "35 entries" in provenance
    assert "49 chains" in provenance


def test_protein_assets_hold_the_backbone_and_no_more(protein_table):
    for row in protein_table:
        assert re.fullmatch(r"[1-9][A-Z0-9]{3}", row["id"])
        text = gzip.decompress(
            (ASSETS / f"proteins/{row['id'].lower()}-backbone.pdb.gz").read_bytes()
        ).decode("ascii")
        assert {line[:6].rstrip() for line in text.splitlines()} <= {
            *("HEADER", "TITLE", "REMARK", "ATOM", "TER", "END")
        }
        atoms = [line for line in text.splitlines() if line.startswith("ATOM")]
        assert {line[12:16].strip() for line in atoms} == {"N", "CA", "C", "O"}
        assert "".join(dict.fromkeys(line[21] for line in atoms)) == row["chains"]
        assert all(len(line) == 78 for line in atoms)


def test_protein_chains_in_the_box_are_distinct_and_as_long_as_the_table_says(protein_table):
    records = list(sources.read("wwpdb", None, wwpdb.Options(), Tally()))
    lengths = [int(n) for row in protein_table for n in row["residues"].split(",")]
    assert [len(record.sequence) for record in records] == lengths
    ids = [f"{row['id']}_{chain}" for row in protein_table for chain in row["chains"]]
    assert [record.id for record in records] == ids
    words = [{r.sequence[i : i + 5] for i in range(len(r.sequence) - 4)} for r in records]
    for i, one in enumerate(words):
        for other in words[:i]:
            assert len(one & other) < 0.7 * min(len(one), len(other))


SOURCE = (
    "HEADER    HYDROLASE                               01-JAN-99   9XYZ              \n"
    "TITLE     A TITLE THAT IS LONG ENOUGH TO NEED TWO LINES, ONE OF WHICH BREAKS AT\n"
    "TITLE    2 A WELL-KNOWN HYPHEN                                                   \n"
    "ATOM      1  N   GLY A  -1A      1.000  -2.000   3.125  1.00 10.50           N  \n"
    "ATOM      2  CA AGLY A  -1A      2.000  -2.000   3.125  0.40 10.50           C  \n"
    "ATOM      3  CA BGLY A  -1A      2.500  -2.000   3.125  0.60 10.50           C  \n"
    "ATOM      4  C   GLY A  -1A      3.000  -2.000   3.125  1.00 10.50           C  \n"
    "ATOM      5  O   GLY A  -1A      4.000  -2.000   3.125  1.00 10.50           O  \n"
    "ATOM      6  CB  GLY A  -1A      5.000  -2.000   3.125  1.00 10.50           C  \n"
    "HETATM    7  N   MSE A   0       6.000  -2.000   3.125  1.00 10.50           N  \n"
    "ATOM      8  N   GLY B   1       7.000  -2.000   3.125  1.00 10.50           N  \n"
    "END\n"
)


def test_trimming_keeps_id_title_numbering_and_the_likelier_location(tmp_path):
    path = tmp_path / "anything.pdb"
    path.write_text(SOURCE)
    text, title, lengths = make_proteins.trim(make_proteins.Entry("9XYZ", "A", ""), path)
    assert lengths == [1]
    assert title.endswith("BREAKS AT A WELL-KNOWN HYPHEN")
    assert [line for line in text.splitlines() if line.startswith("ATOM")] == [
        "ATOM      1  N   GLY A  -1A      1.000  -2.000   3.125  1.00 10.50           N",
        "ATOM      2  CA  GLY A  -1A      2.500  -2.000   3.125  0.60 10.50           C",
        "ATOM      3  C   GLY A  -1A      3.000  -2.000   3.125  1.00 10.50           C",
        "ATOM      4  O   GLY A  -1A      4.000  -2.000   3.125  1.00 10.50           O",
    ]
    trimmed = tmp_path / "trimmed.pdb"
    trimmed.write_text(text)
    [before] = [
        r for r in sources.read("wwpdb", str(path), wwpdb.Options(), Tally()) if r.chain == "A"
    ]
    [after] = sources.read("wwpdb", str(trimmed), wwpdb.Options(), Tally())
    assert (after.id, after.title, after.sequence) == (before.id, before.title, before.sequence)
    assert after.id == "9XYZ_A"
    np.testing.assert_array_equal(after.backbone, before.backbone)
