"""PPIRef: pairs of chains from lists of ids and entries of the PDB, or from interfaces."""

import gzip
import json

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.sources import ppiref
from data_pipeline.sources.tally import Tally
from tests.data_pipeline.sources.complex_files import receptor
from tests.structure.protein.structures import PDB_HEAD, cif_text, pdb_text


def read(path, **options) -> tuple[list, Tally]:
    options, tally = ppiref.Options(**options), Tally()
    return list(sources.read("ppiref", str(path), options, tally)), tally


def folds(path, **folds) -> str:
    path.write_text(json.dumps({"source": "data/ppiref/ppi_6A", "folds": folds}))
    return str(path)


@pytest.fixture
def entries(tmp_path):
    """Entries under the names and in the folders that they are distributed in."""
    root = tmp_path / "pdb"
    (root / "hc").mkdir(parents=True)
    (root / "hc" / "pdb3hch.ent.gz").write_bytes(gzip.compress(receptor("ABC").encode()))
    (root / "9xyz.pdb").write_text(PDB_HEAD + receptor("AB", 12))
    (root / "9ABC.cif").write_text(cif_text(range(1, 9)))
    (root / "1cut.pdb.gz").write_bytes(gzip.compress(receptor().encode())[:-9])
    return str(root)


def test_pairs_of_a_fold_are_whole_chains_of_their_entries(tmp_path, entries):
    path = folds(tmp_path / "fold.json", whole=["3hch_A_B", "3hch_C_A", "9xyz_B_A", "3hch_A_B_C"])
    records, tally = read(path, structures=entries)
    assert [r.id for r in records] == ["3hch_A_B", "3hch_C_A", "9xyz_B_A", "3hch_A_B_C"]
    assert [[p.chain for p in r.partners] for r in records] == [
        ["A", "B"], ["C", "A"], ["B", "A"], ["A", "B", "C"]
    ]  # fmt: skip
    b, a = records[2].partners
    assert (b.id, a.id, a.sequence) == ("9XYZ_B", "9XYZ_A", "A" * 12)
    assert a.backbone.shape == (12, 4, 3)
    assert a.title == "A STRUCTURE WITH A LONG TITLE, IN TWO LINES"
    assert (records[0].properties, tally.records_in) == ((), 4)


def test_pairs_that_cannot_be_read_are_counted(tmp_path, entries):
    pairs = [
        "3hch_A_B", "3hch_A_D", "9abc_Z_Y", "0abs_A_B", "1cut_A_B", "3hch_A", "../hc_A_B", 7
    ]  # fmt: skip
    records, tally = read(folds(tmp_path / "fold.json", whole=pairs), structures=entries)
    assert [r.id for r in records] == ["3hch_A_B"]
    assert tally.dropped == {
        "a chain is not in the entry, or no protein": 2,
        "no file of the entry": 1,
        "structure file is missing, damaged or cut short": 1,
        "not called as a code and two chains": 3,
    }
    assert tally.first["no file of the entry"] == "0abs_A_B"
    path = folds(tmp_path / "fold.json", whole=["3hch_A_B", "9xyz_A_B"])
    records, tally = read(path, structures=entries, max_residues=10)
    assert [r.id for r in records] == ["3hch_A_B"]
    assert tally.dropped == {"protein chain: longer than 10 residues: cut it into domains": 1}


def test_one_of_several_folds_is_chosen(tmp_path, entries):
    path = folds(tmp_path / "folds.json", train=["3hch_A_B"], test=["9xyz_A_B"])
    assert [r.id for r in read(path, structures=entries, fold="test")[0]] == ["9xyz_A_B"]
    with pytest.raises(BadInput, match="several folds: set fold to one of train, test"):
        read(path, structures=entries)
    with pytest.raises(BadInput, match="no fold 'tset': set fold to one of train, test"):
        read(path, structures=entries, fold="tset")
    with pytest.raises(BadInput, match=r"folds\.json: has only ids: give structures"):
        read(path, fold="test")


@pytest.mark.parametrize("content", ["", "[]", '{"folds": []}', '{"a": 1}', "[" * 10**5, "\xff"])
def test_another_file_is_refused(tmp_path, entries, content):
    (tmp_path / "a.json").write_text(content, "latin-1")
    with pytest.raises(BadInput, match=r"a\.json: not JSON of the form"):
        read(tmp_path / "a.json", structures=entries)


def test_interfaces_are_read_as_they_are_or_completed_from_the_entries(tmp_path, entries):
    folder = tmp_path / "ppi_6A" / "hc"
    folder.mkdir(parents=True)
    part = "".join(pdb_text([1, 2, 3, 8, 9], chain=chain) for chain in "AB") + "END\n"
    (folder / "3hch_A_B.pdb").write_text(part)
    (folder / ".1abc.noppi").touch()
    (folder / "._3hch_A_B.pdb").write_text("left by an archiver")
    with pytest.raises(
        BadInput, match=r"no usable record .*more than 20% of the residues are miss"
    ):
        read(tmp_path / "ppi_6A")
    [record], tally = read(tmp_path / "ppi_6A", max_missing=0.5)
    assert (record.id, record.partners[0].sequence) == ("3hch_A_B", "AAAXXXXAA")
    assert tally.records_in == 1
    [record], _ = read(tmp_path / "ppi_6A", structures=entries)
    assert record.partners[0].sequence == "A" * 9
    path = folds(tmp_path / "fold.json", whole=["3hch_A_B"])
    [record], _ = read(path, structures=str(tmp_path / "ppi_6A"), max_missing=0.5)
    assert record.partners[0].sequence == "AAAXXXXAA"
