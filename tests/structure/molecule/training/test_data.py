from functools import partial

import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.structure.molecule.conformers import describe_molecules
from biomatrix_jax.structure.molecule.files import entries, molecule
from biomatrix_jax.structure.molecule.training import data


@pytest.fixture
def sdf(mols, tmp_path):
    path = tmp_path / "mols.sdf"
    with Chem.SDWriter(str(path)) as writer:
        for mol in mols:
            writer.write(mol)
        writer.write(Chem.MolFromSmiles("CCO"))  # no hydrogens, no coordinates
    with open(path, "a") as file:
        file.write("broken\n\n\nnonsense\n$$$$\n")
    return path


def collect(path, **options) -> data.Corpus:
    return data.collect(entries(path), partial(molecule, seed=0), **options)


def test_atoms_in_order_and_failures_counted(sdf, mols):
    corpus = collect(sdf, percent=0)
    assert not corpus.held_out
    expected = [item.descriptors for item in describe_molecules(mols)]
    assert [len(part) for part in corpus.train] == [len(part) for part in expected]
    for one, two in zip(corpus.train, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=2e-3)  # SDF has four decimals
    assert corpus.dropped == {"ImplicitHydrogens": 1, "UnreadableMolecule": 1}
    assert "broken" in corpus.first["UnreadableMolecule"]
    assert str(corpus).startswith("12 molecules to train on, 0 held out; 1 dropped: ")


def test_the_number_of_workers_makes_no_difference(sdf):
    one, two = collect(sdf, percent=30), collect(sdf, percent=30, workers=2)
    assert one.dropped == two.dropped
    for part in ("train", "held_out"):
        pairs = zip(getattr(one, part), getattr(two, part), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)


def test_the_split_goes_by_the_molecule_alone(mols):
    keys = [data.split_key(mol) for mol in mols]
    assert keys[0] == "CCO"
    shuffled = Chem.RenumberAtoms(mols[4], list(reversed(range(mols[4].GetNumAtoms()))))
    assert data.split_key(shuffled) == keys[4]
    hands = [data.split_key(Chem.MolFromSmiles(s)) for s in ("F[C@H](Cl)Br", "F[C@@H](Cl)Br")]
    assert hands[0] == hands[1]
    # Of SHA-256("CCO") the first eight bytes, as a number, end in 60; those of "C" in 17.
    for smiles, least in (("CCO", 61), ("C", 18)):
        assert data.is_held_out(smiles, least)
        assert not data.is_held_out(smiles, least - 1)
    smiles = [f"C{'C' * i}O" for i in range(4000)]
    part = np.mean([data.is_held_out(s, 5) for s in smiles])
    assert 0.03 < part < 0.07
    assert not any(data.is_held_out(s, 0) for s in smiles)
    # Whoever is held out at 5 percent is so at 10.
    assert all(data.is_held_out(s, 10) for s in smiles if data.is_held_out(s, 5))
