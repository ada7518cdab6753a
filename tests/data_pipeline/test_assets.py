"""The shipped assets are what their PROVENANCE.md says, and their scripts do what they say."""

import gzip
import hashlib
import json
import re
import sqlite3
from pathlib import Path

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.assets import make_text
from data_pipeline.assets.reproducible import write_gzip

ASSETS = Path(make_text.ASSET).parents[1]


def test_text_asset_is_the_one_its_provenance_describes():
    provenance = (ASSETS / "text/PROVENANCE.md").read_text()
    packed = make_text.ASSET.read_bytes()
    plain = gzip.decompress(packed)
    assert (
        re.search(r"asset \| sha256 `(\w+)`", provenance)[1] == hashlib.sha256(packed).hexdigest()
    )
    found = re.search(r"uncompressed \| sha256 `(\w+)`", provenance)[1]
    assert found == hashlib.sha256(plain).hexdigest()
    assert "CC BY 4.0" in provenance


def test_text_asset_is_readable_prose_without_repetition():
    records = [
        json.loads(line) for line in gzip.decompress(make_text.ASSET.read_bytes()).splitlines()
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
