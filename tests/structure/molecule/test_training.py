import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import MoleculeTokenizer, vqvae
from biomatrix_jax.structure.molecule.conformers import describe_molecules
from biomatrix_jax.structure.molecule.errors import SeveralFragments
from biomatrix_jax.structure.molecule.training import train_vqvae

SHORT = {"codes": 64, "steps": 150, "batch_size": 256, "seed": 1}


@pytest.fixture(scope="module")
def atoms(mols) -> np.ndarray:
    return np.concatenate([item.descriptors for item in describe_molecules(mols)])


@pytest.fixture(scope="module")
def trained(mols):
    history = []
    tokenizer = train_vqvae(mols, on_step=lambda step, m: history.append((step, m)), **SHORT)
    return tokenizer, history


def test_it_learns_every_branch(trained, atoms):
    tokenizer, history = trained
    assert [step for step, _ in history] == list(range(150))
    first, last = history[0][1], history[-1][1]
    for branch in ("loss", "length", "angle", "torsion", "sign"):
        assert last[branch] < 0.1 * first[branch], branch
    table = vqvae.code_table(tokenizer.weights)
    framed = atoms[atoms[:, 3] != 0]
    error = table[vqvae.encode(tokenizer.weights, framed)] - framed
    # Relative to what one average value for all atoms would leave.
    rest = np.sqrt(np.mean(error[:, :3] ** 2, axis=0)) / framed[:, :3].std(axis=0)
    assert (rest < [0.9, 0.3, 0.75]).all()
    assert np.mean(error[:, 3] != 0) < 0.02


def test_running_statistics_and_codebook_are_not_left_behind(trained, atoms):
    tokenizer, history = trained
    # With the running statistics the latents still land on codes, many of them.
    latents, _ = vqvae.perceptron(tokenizer.weights["encoder"], vqvae.features(atoms))
    codes = vqvae.encode(tokenizer.weights, atoms)
    assert len(np.unique(codes)) > 16
    distance = jnp.mean((latents - tokenizer.weights["codebook"][codes]) ** 2)
    assert float(distance) < 5 * history[-1][1]["commitment"]


def test_the_seed_decides_everything(trained, atoms):
    tokenizer, _ = trained
    again = train_vqvae(atoms, **SHORT)
    for one, two in zip(
        jax.tree.leaves(tokenizer.weights), jax.tree.leaves(again.weights), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_trained_weights_round_trip(trained, mols, tmp_path):
    tokenizer, _ = trained
    tokenizer.save(tmp_path / "tok")
    again = MoleculeTokenizer.from_pretrained(tmp_path / "tok")
    leaves = zip(jax.tree.leaves(tokenizer.weights), jax.tree.leaves(again.weights), strict=True)
    assert all(np.asarray(one).tobytes() == np.asarray(two).tobytes() for one, two in leaves)
    for one, two in zip(tokenizer.encode_batch(mols), again.encode_batch(mols), strict=True):
        np.testing.assert_array_equal(one.codes, two.codes)


def test_decoded_molecules_keep_their_bond_lengths(trained, mols):
    tokenizer, _ = trained
    for mol in mols:
        decoded = tokenizer.decode(tokenizer.encode(mol).struct_selfies)
        x = decoded.GetConformer().GetPositions()
        focal_first = [b for b in decoded.GetBonds() if not b.IsInRing()]
        lengths = [
            np.linalg.norm(x[b.GetBeginAtomIdx()] - x[b.GetEndAtomIdx()]) for b in focal_first
        ]
        assert min(lengths) > 0.7
        assert max(lengths) < 2.4


def test_bad_input(mols):
    salt = Chem.MolFromSmiles("[Na+].[Cl-]")
    salt.AddConformer(Chem.Conformer(2))
    with pytest.raises(SeveralFragments):
        train_vqvae([mols[0], salt], steps=1)
    with pytest.raises(BadInput, match="needs descriptors"):
        train_vqvae([], steps=1)
    with pytest.raises(BadInput, match="needs descriptors"):
        train_vqvae(np.zeros((3, 5)), steps=1)
    with pytest.raises(BadInput, match="finite"):
        train_vqvae(np.array([[1.4, 1.0, 2.0, 1.0], [1.4, np.nan, 2.0, 1.0]]), steps=1)
    for sizes in ({"codes": 0}, {"codes": 2.5}, {"steps": 0}, {"steps": 1.5}, {"batch_size": 8.0}):
        (name,) = sizes
        with pytest.raises(BadInput, match=f"{name} must be a positive integer"):
            train_vqvae(mols, **sizes)
