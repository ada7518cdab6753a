"""Chains of structure files and ligands in their poses."""

import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.chains import Limits
from data_pipeline.sources.complexes import all_chains, chains, existing, ligand
from data_pipeline.sources.molecules import NoMolecule, parse_mol2
from tests.data_pipeline.sources.complex_files import LIGAND, pose, receptor
from tests.structure.protein.structures import atom_line, pdb_text


def test_chains_are_records_and_what_is_no_protein_is_left_out(tmp_path):
    path = tmp_path / "1abc_A_rec.pdb"
    water = atom_line(1, "O", residue="HOH", chain="W", hetero=True)
    nucleic = atom_line(1, "P", residue="DA", chain="N")
    path.write_text(water + nucleic + receptor("AB"))
    found = chains(path, Limits())
    assert list(found) == ["A", "B"]
    assert (found["B"].id, found["B"].chain) == ("1abc_A_rec_B", "B")
    assert found["B"].sequence == "A" * 9
    assert found["B"].backbone.shape == (9, 4, 3)
    assert found["B"].backbone[1, 0, 0] == np.float32(3.8)
    usable, lost = all_chains(path, Limits())
    assert ([record.chain for record in usable], lost) == (["A", "B"], [])


def test_chains_outside_the_limits_are_lost_and_a_file_without_any_is_an_error(tmp_path):
    path = tmp_path / "a.pdb"
    path.write_text(receptor("A", 9).removesuffix("END\n") + receptor("B", 12))
    found, lost = all_chains(path, Limits(max_residues=10))
    assert [record.chain for record in found] == ["A"]
    assert lost == ["protein chain: longer than 10 residues: cut it into domains"]
    path.write_text(receptor().replace("A   2", "A   1"))
    with pytest.raises(BadInput, match=r"^protein chain: damaged$"):
        all_chains(path, Limits())
    path.write_text(receptor())
    with pytest.raises(BadInput, match=r"^protein chain: longer than 5 residues"):
        all_chains(path, Limits(max_residues=5))
    path.write_text(pdb_text([1], atoms=["P"]))
    with pytest.raises(BadInput, match=r"^no protein chain$"):
        all_chains(path, Limits())
    path.write_text("no structure")
    with pytest.raises(BadInput, match=r"^structure file cannot be read$"):
        chains(path, Limits())
    (tmp_path / "b.pdb.gz").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"^structure file is missing, damaged or cut short$"):
        chains(tmp_path / "b.pdb.gz", Limits())


def test_a_pose_with_its_hydrogens_stays_as_it_is():
    whole = pose(hydrogens=True)
    record, changed = ligand(whole, "x", "alanine", add_hydrogens=True)
    assert (record.id, record.name, record.smiles, changed) == ("x", "alanine", LIGAND, [])
    np.testing.assert_array_equal(
        record.mol.GetConformer().GetPositions(), whole.GetConformer().GetPositions()
    )


def test_hydrogens_are_placed_and_the_other_atoms_stay():
    bare = pose()
    before = bare.GetConformer().GetPositions().copy()
    record, changed = ligand(bare, "x", "", add_hydrogens=True)
    assert changed == ["pose: hydrogens placed by RDKit"]
    assert (record.smiles, record.mol.GetNumAtoms()) == (LIGAND, 13)
    positions = record.mol.GetConformer().GetPositions()
    np.testing.assert_array_equal(positions[: len(before)], before)
    for bond in record.mol.GetBonds():
        if bond.GetEndAtom().GetAtomicNum() == 1:
            ends = positions[[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]]
            assert 0.9 < np.linalg.norm(ends[0] - ends[1]) < 1.2


def test_without_hydrogens_the_stereo_of_the_pose_is_kept_and_the_pose_is_not():
    bare = pose()
    Chem.RemoveStereochemistry(bare)
    record, changed = ligand(bare, "x", "", add_hydrogens=False)
    assert changed == ["3D view: hydrogens without coordinates"]
    assert (record.smiles, record.mol.GetNumConformers()) == (LIGAND, 0)


def test_a_flat_pose_is_none():
    bare = pose()
    bare.GetConformer().Set3D(False)
    with pytest.raises(NoMolecule, match="no 3D coordinates"):
        ligand(bare, "x", "", add_hydrogens=True)


def test_mol2_is_read_with_its_hydrogens_or_says_why_not(capfd):
    block = """@<TRIPOS>MOLECULE
water
 3 2 0 0 0
SMALL
NO_CHARGES

@<TRIPOS>ATOM
  1 O   0.000 0.000 0.000 O.3 1 HOH 0
  2 H1  0.957 0.000 0.000 H   1 HOH 0
  3 H2 -0.240 0.927 0.000 H   1 HOH 0
@<TRIPOS>BOND
 1 1 2 1
 2 1 3 1
"""
    mol = parse_mol2(block)
    assert (mol.GetNumAtoms(), mol.GetConformer().Is3D()) == (3, True)
    assert mol.GetConformer().GetPositions()[2, 1] == 0.927
    for bad in ("", "x", block.replace("O.3", "Xx.9"), block[: block.index("@<TRIPOS>BOND")]):
        with pytest.raises(NoMolecule, match="RDKit reads no molecule"):
            parse_mol2(bad)
    assert capfd.readouterr() == ("", "")


def test_the_first_file_that_is_there(tmp_path):
    (tmp_path / "b").touch()
    assert existing([tmp_path / "a", tmp_path / "b"], "x") == tmp_path / "b"
    with pytest.raises(BadInput, match=r"^no file of the ligand$"):
        existing([tmp_path / "a", tmp_path, tmp_path / ("a" * 5000)], "the ligand")
