"""Conformers of single molecules; tests/data_pipeline has those of a corpus."""

import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.structure.molecule.embedding import label_stereo, smiles_of, with_conformer
from biomatrix_jax.structure.molecule.errors import NoConformer


def test_a_conformer_has_its_hydrogens_and_the_given_stereo():
    smiles = "C/C=C\\[C@@H](N)C(=O)O"
    mol = with_conformer(Chem.MolFromSmiles(smiles), seed=0)
    assert not any(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    assert smiles_of(mol) == Chem.CanonSmiles(smiles)
    positions = mol.GetConformer().GetPositions()
    np.testing.assert_array_equal(np.round(positions, 4), positions)
    mol.GetConformer().SetPositions(positions * [1, 1, -1])
    label_stereo(mol)
    assert smiles_of(mol) == Chem.CanonSmiles("C/C=C\\[C@H](N)C(=O)O")


@pytest.mark.parametrize(
    ("smiles", "why"),
    [("[Cu]Cl", "MMFF94 has no parameters"), ("C1#CC1", "ETKDGv3 finds no embedding")],
)
def test_errors_name_the_molecule(smiles, why):
    mol = Chem.MolFromSmiles(smiles)
    with pytest.raises(NoConformer, match=why) as caught:
        with_conformer(mol, seed=0)
    assert caught.value.molecule == Chem.CanonSmiles(smiles)
    mol.SetProp("_Name", "it")
    with pytest.raises(NoConformer, match=r"^it: "):
        with_conformer(mol, seed=0)
