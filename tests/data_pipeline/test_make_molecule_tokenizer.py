import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule.training.data import is_held_out, split_key
from data_pipeline.assets.make_molecule_tokenizer import HELD_OUT_PERCENT, held_out_molecules, mix


def test_corpora_count_about_alike():
    large = [np.full((5, 4), 1.0), np.full((6, 4), 2.0)]
    small = [np.full((2, 4), 3.0)]
    mixed = mix([large, small])
    assert mixed.shape == (11 + 6 * 2, 4)  # 5.5 rounds to 6 repeats
    values, counts = np.unique(mixed[:, 0], return_counts=True)
    assert dict(zip(values, counts, strict=True)) == {1: 5, 2: 6, 3: 12}


def test_held_out_molecules_are_those_that_training_skips():
    smiles = ["not one", *("C" * i for i in range(1, 200))]

    def molecule(text: str) -> Chem.Mol:
        if mol := Chem.MolFromSmiles(text, sanitize=text != "not one"):
            return mol
        raise BadInput("no molecule")

    expected = [s for s in smiles[1:] if is_held_out(s, HELD_OUT_PERCENT)]
    assert 2 < len(expected) < 25
    for every in (1, 3):
        found = [split_key(mol) for mol in held_out_molecules(smiles, molecule, every)]
        assert found == expected[::every]


@pytest.mark.parametrize("sizes", [(7,), (4, 4, 4)])
def test_equal_corpora_are_not_repeated(sizes):
    assert len(mix([[np.zeros((size, 4))] for size in sizes])) == sum(sizes)
