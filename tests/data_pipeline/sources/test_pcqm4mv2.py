"""PCQM4Mv2, on a constructed table and SDF file."""

import gzip

import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import Property
from data_pipeline.sources import conformers, pcqm4mv2
from data_pipeline.sources.pcqm4mv2 import Options
from data_pipeline.sources.tally import Tally

ALANINE = "C[C@H](N)C(=O)O"
SMILES = ["CC(N)C(=O)O", "O=c1cc[nH]cc1", "C[N+](=O)[O-]", "C1CC1", "CO"]  # two of no training
GAPS = ["5.97", "4.25", "4.97", "7.5", ""]


def read(path, **options):
    tally = Tally()
    return list(sources.read("pcqm4mv2", str(path), Options(**options), tally)), tally


def block(smiles: str, hydrogens: bool) -> str:
    mol = conformers.with_conformer(Chem.MolFromSmiles(smiles), seed=0)
    return Chem.MolToMolBlock(mol if hydrogens else Chem.RemoveHs(mol)) + "$$$$\n"


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """`raw/data.csv.gz`, and the SDF file of its first three rows with hydrogens and without."""
    monkeypatch.setattr(pcqm4mv2, "TRAINING", 3)
    rows = [f"{idx},{SMILES[idx]},{gap}\n" for idx, gap in enumerate(GAPS)]
    (tmp_path / "raw").mkdir()
    table = "idx,smiles,homolumogap\n" + "".join(rows)
    (tmp_path / "raw/data.csv.gz").write_bytes(gzip.compress(table.encode()))
    for name, hydrogens in (("whole.sdf", True), ("heavy.sdf", False)):
        blocks = [block(ALANINE, hydrogens), *(block(one, hydrogens) for one in SMILES[1:3])]
        (tmp_path / name).write_text("".join(blocks))
    return tmp_path


def test_the_table_alone_gives_molecules_and_gaps(corpus):
    records, tally = read(corpus / "raw")
    assert [record.id for record in records] == [f"pcqm4mv2:{idx}" for idx in range(5)]
    assert [record.smiles for record in records] == [Chem.CanonSmiles(one) for one in SMILES]
    assert records[0].properties == (Property("HOMO-LUMO gap", 5.97, "eV"),)
    assert records[4].properties == ()  # withheld
    assert not any(record.mol.GetNumConformers() for record in records)
    assert (tally.records_in, tally.records_out, tally.lost) == (5, 5, {})


def test_the_ith_entry_is_the_geometry_of_row_i_and_settles_its_stereo(corpus):
    records, tally = read(corpus / "raw", structures=str(corpus / "whole.sdf"))
    assert [record.smiles for record in records] == [ALANINE, *map(Chem.CanonSmiles, SMILES[1:])]
    assert [record.mol.GetNumConformers() for record in records] == [1, 1, 1, 0, 0]
    expected = conformers.with_conformer(Chem.MolFromSmiles(ALANINE), seed=0)
    found = records[0].mol.GetConformer().GetPositions()
    np.testing.assert_allclose(found, expected.GetConformer().GetPositions(), atol=1e-4)
    assert records[0].properties == (Property("HOMO-LUMO gap", 5.97, "eV"),)
    assert records[0].mol.GetProp("_Name") == "pcqm4mv2:0"
    assert not tally.lost


def test_hydrogens_without_coordinates_are_placed_only_where_asked(corpus):
    records, tally = read(corpus / "raw", structures=str(corpus / "heavy.sdf"))
    assert not any(record.mol.GetNumConformers() for record in records)
    assert records[0].smiles == "CC(N)C(=O)O"
    assert tally.lost == {"conformer: hydrogens without coordinates": 3}
    records, tally = read(
        corpus / "raw", structures=str(corpus / "heavy.sdf"), place_hydrogens=True
    )
    assert not tally.lost
    assert records[0].smiles == ALANINE
    mol = records[0].mol
    assert not any(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    positions = mol.GetConformer().GetPositions()
    for bond in mol.GetBonds():
        length = np.linalg.norm(positions[bond.GetBeginAtomIdx()] - positions[bond.GetEndAtomIdx()])
        assert 0.9 < length < 1.6


def test_a_geometry_of_another_molecule_is_lost_and_the_row_stays(corpus):
    first, second, third = (corpus / "whole.sdf").read_text().split("$$$$\n")[:3]
    cut = third.split("M  END")[0]
    (corpus / "wrong.sdf").write_text("$$$$\n".join([second, "garbage\n", cut]))
    records, tally = read(corpus / "raw", structures=str(corpus / "wrong.sdf"))
    assert not any(record.mol.GetNumConformers() for record in records)
    assert len(records) == 5
    assert tally.lost == {
        "conformer: other bonds than the SMILES": 1,
        "conformer: RDKit reads no molecule": 1,
        "conformer: entry is cut off ($$$$ is missing)": 1,
    }
    (corpus / "short.sdf").write_text(first + "$$$$\n")
    records, tally = read(corpus / "raw", structures=str(corpus / "short.sdf"))
    assert [record.mol.GetNumConformers() for record in records] == [1, 0, 0, 0, 0]
    assert tally.lost == {"conformer: the SDF file has fewer entries": 2}


def test_rows_that_are_wrong_do_not_shift_the_geometries(corpus):
    table = corpus / "data.csv"
    table.write_bytes(
        b"idx,smiles,homolumogap\n0,C1CC,1\nx,CC,1\n1,\xff,1\n2,C[N+](=O)[O-],?\n0,CC(N)C(=O)O,5\n"
    )
    records, tally = read(table, structures=str(corpus / "whole.sdf"))
    assert [record.id for record in records] == ["pcqm4mv2:2", "pcqm4mv2:0"]
    assert [record.mol.GetNumConformers() for record in records] == [1, 0]
    assert tally.dropped == {
        "SMILES does not parse": 1,
        "idx is not a whole number": 1,
        "not UTF-8": 1,
    }
    assert tally.lost == {"homolumogap: not a number": 1, "conformer: idx does not ascend": 1}
    assert tally.balanced


def test_limit_and_damage(corpus):
    records, tally = read(corpus / "raw", structures=str(corpus / "whole.sdf"), limit=2)
    assert (len(records), tally.records_in) == (2, 2)
    with pytest.raises(BadInput, match=r"train\.sdf\.tar\.gz: unpack it"):
        Options(structures="pcqm4m-v2-train.sdf.tar.gz")
    packed = gzip.compress((corpus / "whole.sdf").read_bytes())
    (corpus / "cut.sdf.gz").write_bytes(packed[:-20])
    with pytest.raises(BadInput, match=r"cut\.sdf\.gz: damaged or truncated gzip"):
        read(corpus / "raw", structures=str(corpus / "cut.sdf.gz"))
    table = corpus / "raw/data.csv.gz"
    table.write_bytes(table.read_bytes()[:-9])
    with pytest.raises(BadInput, match=r"data\.csv\.gz: damaged or truncated gzip"):
        read(corpus / "raw")
