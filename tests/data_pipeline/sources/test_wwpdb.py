"""Records of protein chains: ids, titles, what is counted, and the structures in the box."""

import gzip

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.sources import wwpdb
from data_pipeline.sources.tally import Tally
from tests.structure.protein.bcif_files import bcif
from tests.structure.protein.structures import (
    PDB_HEAD,
    atom_line,
    cif_text,
    residue_lines,
)


def test_folder_of_files_is_read_in_order_with_ids_and_titles(tmp_path):
    body = "".join(residue_lines(n, 3.8 * n) for n in range(1, 9))
    (tmp_path / "b.pdb").write_text(PDB_HEAD + body + body.replace(" A", " B") + "END\n")
    (tmp_path / "a1.ent.gz").write_bytes(gzip.compress((body + "END\n").encode()))
    (tmp_path / "notes.txt").write_text("not a structure")
    records = list(sources.read("wwpdb", str(tmp_path), wwpdb.Options(), Tally()))
    assert [record.id for record in records] == ["a1_A", "9XYZ_A", "9XYZ_B"]
    assert [record.title for record in records] == [
        "",
        *["A STRUCTURE WITH A LONG TITLE, IN TWO LINES"] * 2,
    ]
    limited = sources.read("wwpdb", str(tmp_path), wwpdb.Options(limit=1), Tally())
    assert [record.id for record in limited] == ["a1_A"]


def test_only_the_first_model_is_read(tmp_path):
    models = "".join(f"MODEL     {m:4}\n" + residue_lines(1, 10.0 * m) + "ENDMDL\n" for m in (1, 2))
    (tmp_path / "nmr.pdb").write_text(models + "END\n")
    [record] = sources.read("wwpdb", str(tmp_path / "nmr.pdb"), wwpdb.Options(), Tally())
    assert record.backbone[0, 0, 0] == 10


def test_mmcif_uses_the_authors_chains_and_numbers(tmp_path):
    path = tmp_path / "9abc.cif.gz"
    path.write_bytes(gzip.compress(cif_text([10, 12, 13, 14, 15]).encode()))
    [record] = sources.read("wwpdb", str(path), wwpdb.Options(), Tally())
    assert (record.id, record.chain, record.title) == ("9ABC_Z", "Z", "A small mmCIF")
    assert record.sequence == "GXGGGG"
    expected = [[45.6, k + 0.5, 0] for k in range(4)]
    np.testing.assert_array_equal(record.backbone[2], np.float32(expected))


def test_binary_cif_is_read_and_assemblies_are_not(tmp_path):
    (tmp_path / "9abc.bcif.gz").write_bytes(gzip.compress(bcif(cif_text([1, 2]))))
    (tmp_path / "9abc-assembly1.cif.gz").write_bytes(gzip.compress(cif_text([1]).encode()))
    (tmp_path / "9abc.pdb1").write_text("not looked at")
    (tmp_path / "9abc-assembly12.bcif").touch()
    tally = Tally()
    [record] = sources.read("wwpdb", str(tmp_path), wwpdb.Options(), tally)
    assert (record.id, record.sequence, tally.records_in) == ("9ABC_Z", "GG", 1)
    with pytest.raises(BadInput, match="biological assemblies only: take the entries"):
        wwpdb.inputs(str(tmp_path / "9abc.pdb1"), wwpdb.Options())


def test_unusable_files_and_chains_are_counted_and_named(tmp_path):
    body = "".join(residue_lines(n, 3.8 * n) for n in range(1, 9))
    dna = "".join(atom_line(n, "P", residue="DA", chain="D") for n in range(1, 5))
    (tmp_path / "1good.pdb").write_text(body + dna + "END\n")
    (tmp_path / "2empty.pdb").touch()
    (tmp_path / "3cut.cif.gz").write_bytes(gzip.compress(cif_text(range(500)).encode())[:-400])
    (tmp_path / "4half.cif").write_text(cif_text(range(20))[:-200])
    (tmp_path / "5text.cif").write_text("hello\n")
    (tmp_path / "6coordinates.pdb").write_text(body.replace("   3.800", "   x.yyy"))
    tally = Tally()
    records = list(sources.read("wwpdb", str(tmp_path), wwpdb.Options(), tally))
    assert [record.id for record in records] == ["1good_A"]
    assert tally.balanced
    assert tally.records_in == 7
    assert set(tally.dropped.values()) == {1}
    first, *others = tally.first.items()
    assert first == ("no protein residue", "1good_D")
    assert [(reason[:24], name.rsplit("/", 1)[1]) for reason, name in others] == [
        ("empty file", "2empty.pdb"),
        ("damaged or truncated gzi", "3cut.cif.gz"),
        ("Wrong number of values i", "4half.cif"),
        ("no ATOM or HETATM record", "5text.cif"),
        ("coordinates '      x.yyy", "6coordinates.pdb"),
    ]


def test_folder_without_structures_is_one_line(tmp_path):
    (tmp_path / "readme.md").touch()
    with pytest.raises(BadInput, match="no structure file") as error:
        list(sources.read("wwpdb", str(tmp_path), wwpdb.Options(), Tally()))
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def in_the_box():
    tally = Tally()
    records = list(sources.read("wwpdb", None, wwpdb.Options(), tally))
    assert tally.records_in == tally.records_out == len(records)
    return {record.id: record for record in records}


def test_structures_in_the_box(in_the_box):
    assert len(in_the_box) == 49
    ubiquitin = in_the_box["1UBI_A"]
    assert ubiquitin.sequence == (
        "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
    )
    assert in_the_box["1EJG_A"].title.startswith("CRAMBIN AT ULTRA-HIGH RESOLUTION")
    assert in_the_box["2XHE_B"].title.startswith("Crystal structure of the Unc18-syntaxin 1")


def test_bonds_in_the_box_are_bonds(in_the_box):
    """Coordinates have their places: bond lengths are those of peptides (angstrom)."""
    n, ca, c, o = np.moveaxis(np.concatenate([r.backbone for r in in_the_box.values()]), 1, 0)
    for one, other, length in ((n, ca, 1.458), (ca, c, 1.525), (c, o, 1.231)):
        measured = np.linalg.norm(one - other, axis=1)
        measured = measured[~np.isnan(measured)]
        assert abs(np.median(measured) - length) < 0.02
        assert 0.9 < measured.min() < measured.max() < 2.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_residues": 0}, "max_residues must be at least 1"),
        ({"max_missing": -1}, "max_missing from 0 to 1"),
        ({"max_missing": 1.5}, "max_missing from 0 to 1"),
        ({"limit": 0}, "limit must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(wrong, message):
    with pytest.raises(BadInput, match=message):
        wwpdb.Options(**wrong)
