"""The table of entities, in memory and on disk."""

import gzip

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.entities import store, table
from data_pipeline.entities.table import Entity, EntityTable, Unresolved, normal, open_table

HEADER = "identifier\tkind\tstring\tnames\n"
ROWS = (
    "mesh:D001120\tmolecule\tOC(=O)C(N)CCCNC(N)=N\targinine|Arg\n"
    "CHEBI:29016\tmolecule\tNC(CCCN=C(N)N)C(O)=O\t\n"
    "CHEBI:16467\tmolecule\tN=C(N)NCCC[C@H](N)C(=O)O\tL-arginine\n"
    "NCBIGene:7314\tprotein\tMQIFVKTLTG\tubiquitin B\n"
    "x:bad\tmolecule\tC1CC\tbroken ring\n"
    "x:gap\tprotein\tMQ-IF\t\n"
)


@pytest.fixture(params=["text", "gzip", "sqlite"])
def entities(request, tmp_path) -> EntityTable:
    path = tmp_path / "entities.tsv"
    path.write_text(HEADER + ROWS)
    if request.param == "gzip":
        path = tmp_path / "entities.tsv.gz"
        path.write_bytes(gzip.compress((HEADER + ROWS).encode()))
    if request.param == "sqlite":
        path = tmp_path / "with space ü.sqlite"
        store.write(path, table.entries(tmp_path / "entities.tsv"))
        assert sorted(p.name for p in tmp_path.iterdir()) == ["entities.tsv", path.name]
    return open_table(path)


def test_identifiers_lead_to_canonical_strings(entities):
    arginine = Entity("molecule", "N=C(N)NCCCC(N)C(=O)O")
    assert entities.resolve(["mesh:D001120"]) == arginine
    assert entities.resolve(["MESH:D001120"]) == arginine
    assert entities.resolve(["CHEBI:1", "mesh:D001120", "CUI-less"]) == arginine
    protein = Entity("protein", "MQIFVKTLTG")
    assert entities.resolve(["EntrezGene:7314"]) == entities.resolve(["NCBIGene:7314"]) == protein


@pytest.mark.parametrize(
    ("identifiers", "reason"),
    [
        (["CUI-less"], "no identifier"),
        (["-", "-1", ""], "no identifier"),
        ([], "no identifier"),
        (["mesh:D000000"], "unknown identifier"),
        (["mesh:D001120", "CHEBI:16467"], "identifiers of several entities"),
        (["x:bad"], "SMILES does not parse"),
        (["x:gap"], "sequence of other letters than A to Z"),
    ],
)
def test_what_leads_nowhere_says_why(entities, identifiers, reason):
    with pytest.raises(Unresolved) as error:
        entities.resolve(identifiers)
    assert str(error.value) == reason


def test_names_come_with_what_the_table_has(entities):
    assert sorted(entities.names(), key=lambda pair: pair[0]) == [
        ("Arg", Entity("molecule", "OC(=O)C(N)CCCNC(N)=N")),
        ("L-arginine", Entity("molecule", "N=C(N)NCCC[C@H](N)C(=O)O")),
        ("arginine", Entity("molecule", "OC(=O)C(N)CCCNC(N)=N")),
        ("broken ring", Entity("molecule", "C1CC")),
        ("ubiquitin B", Entity("protein", "MQIFVKTLTG")),
    ]


def test_one_spelling_of_an_identifier():
    assert [normal(x) for x in ("MESH:D1", "EntrezGene:5", "NCBIGene:5", " C5 ", "chebi:1:2")] == [
        "mesh:D1",
        "ncbigene:5",
        "ncbigene:5",
        "C5",
        "chebi:1:2",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("identifier\tkind\tnames\nx\tmolecule\tC\n", r"e\.tsv: no column 'string'"),
        ("", r"e\.tsv: empty"),
        (HEADER, r"e\.tsv: no entity in it"),
        (HEADER + "x:1\tdrug\tC\t\n", r"e\.tsv:2: kind must be molecule or protein, not 'drug'"),
        (HEADER + "x:1\tmolecule\t\t\n", r"e\.tsv:2: an entity needs an identifier and a string"),
        (HEADER + "CUI-less\tmolecule\tC\t\n", r"e\.tsv:2: an entity needs an identifier"),
        (HEADER + "x:1\tmolecule\n", r"e\.tsv:2: not as many fields"),
        (HEADER + "x:1\tmolecule\tC\t\nX:1\tmolecule\tN\t\n", "x:1 is there twice"),
    ],
)
def test_a_bad_table_is_refused_by_line(tmp_path, content, message):
    (tmp_path / "e.tsv").write_text(content)
    with pytest.raises(BadInput, match=message) as error:
        open_table(tmp_path / "e.tsv")
    assert "\n" not in str(error.value)


def test_a_bad_store_is_refused(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        open_table(tmp_path / "none.sqlite")
    (tmp_path / "text.sqlite").write_text("no database, but long enough to be looked at " * 9)
    with pytest.raises(BadInput, match="not a table of entries"):
        open_table(tmp_path / "text.sqlite")
    with pytest.raises(BadInput, match="a is there twice"):
        store.write(tmp_path / "twice.sqlite", [("a", "1"), ("a", "2")])
    assert [p.name for p in tmp_path.iterdir()] == ["text.sqlite"]


def test_a_store_may_keep_the_first(tmp_path):
    store.write(tmp_path / "s.sqlite", [("b", "1"), ("a", "2"), ("b", "3")], keep_first=True)
    assert list(store.Store.open(tmp_path / "s.sqlite")) == [("a", "2"), ("b", "1")]


def test_the_command_makes_the_file(tmp_path, monkeypatch):
    (tmp_path / "e.tsv").write_text(HEADER + ROWS)
    out = tmp_path / "e.sqlite"
    monkeypatch.setattr("sys.argv", ["table", str(tmp_path / "e.tsv"), str(out)])
    table.main()
    assert open_table(out).resolve(["x:0", "NCBIGene:7314"]).string == "MQIFVKTLTG"
