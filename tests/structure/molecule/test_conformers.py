import dataclasses

import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.structure.molecule import conformers
from biomatrix_jax.structure.molecule.conformers import Described, describe_molecules
from biomatrix_jax.structure.molecule.errors import (
    CollinearReferences,
    FocalAtomZero,
    NoConformer,
    UnusableMolecule,
)


def placed(smiles: str, positions: np.ndarray) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.asarray(positions, float))
    mol.AddConformer(conformer)
    return mol


def test_bond_lengths_are_read_in_string_order(mols):
    mol = mols[0]
    [described] = describe_molecules([mol])
    x = mol.GetConformer().GetPositions()[described.line.order]
    # Every atom but the third is measured from an atom it is bonded to.
    renumbered = Chem.RenumberAtoms(mol, described.line.order.tolist())
    for i in [1, *range(3, len(x))]:
        lengths = [
            np.linalg.norm(x[i] - x[j]) for j in range(i) if renumbered.GetBondBetweenAtoms(i, j)
        ]
        assert np.isclose(lengths, described.descriptors[i, 0]).any()
    assert described.descriptors[2, 0] == pytest.approx(np.linalg.norm(x[2] - x[0]))


def test_bad_molecules_do_not_touch_their_neighbours(mols):
    together = describe_molecules([None, *mols, Chem.AddHs(Chem.MolFromSmiles("CCO"))])
    assert isinstance(together[0], UnusableMolecule)
    assert isinstance(together[-1], NoConformer)
    for mol, item in zip(mols, together[1:-1], strict=True):
        [alone] = describe_molecules([mol])
        assert isinstance(item, Described)
        np.testing.assert_array_equal(item.descriptors, alone.descriptors)
        np.testing.assert_array_equal(item.line.order, alone.line.order)


def test_nothing_and_nothing_usable():
    assert describe_molecules([]) == []
    assert isinstance(describe_molecules([None])[0], UnusableMolecule)


def test_linear_molecules_have_no_frames(mols):
    diacetylene = placed("C#CC#C", np.array([1.2, 0, -1.2, -2.4, 2.3, -3.5])[:, None] * [1, 0, 0])
    diacetylene.SetProp("_Name", "diacetylene")
    first, other = describe_molecules([diacetylene, mols[1]])
    assert isinstance(first, CollinearReferences)
    assert str(first).startswith("diacetylene: atom ")
    assert isinstance(other, Described)


def test_an_atom_that_hangs_on_the_first_alone(mols, monkeypatch):
    # RDKit starts at an atom with one neighbour where there is any, so this takes making up.
    line = conformers.line_up(mols[0])
    monkeypatch.setattr(
        conformers, "line_up", lambda mol: dataclasses.replace(line, focal=[-1, 0, 1, 0, *[3] * 5])
    )
    [error] = describe_molecules([mols[0]])
    assert isinstance(error, FocalAtomZero)
    assert str(error).startswith("CCO: atom 3 in string order hangs on the first atom alone")


def test_all_atoms_in_one_place():
    [error] = describe_molecules([placed("CCO", np.zeros((9, 3)))])
    assert isinstance(error, CollinearReferences)
