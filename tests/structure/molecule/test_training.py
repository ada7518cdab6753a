import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import MoleculeTokenizer, training, vqvae
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
    drawn = [training._draw(atoms, 8, np.random.default_rng(seed)) for seed in (1, 2)]
    assert (drawn[0] != drawn[1]).any()


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


def test_mirror_images_are_drawn_for_atoms_with_a_frame_only():
    x = np.array([[0.8, 0.2, 0.7, 1.0], [0.8, 0.5073, 0.68, 0.0]], np.float32)
    drawn = training._draw(x, 400, np.random.default_rng(0))
    framed = drawn[drawn[:, 3] == 1]
    assert set(np.round(framed[:, 1], 4)) == {np.float32(0.2), np.float32(0.8)}
    assert set(np.round(drawn[drawn[:, 3] == 0][:, 1], 4)) == {np.float32(0.5073)}
    np.testing.assert_allclose(framed[:, [0, 2, 3]], np.tile([0.8, 0.7, 1], (len(framed), 1)))


def test_the_codebook_follows_its_latents_and_revives_dead_codes():
    latents = jnp.array([[1.0, 0], [3.0, 0], [0, 5.0], [0, 5.0]])
    usage = {"size": jnp.array([2.0, 2.0, 0.0]), "sum": jnp.array([[0.0, 0], [2, 2], [0, 0]])}
    assigned = jnp.array([0, 0, 1, 1])
    codebook, after = training._follow_codebook(
        usage, latents, assigned, jnp.array([[0.0, 0], [0, 0], [7, 8]])
    )
    decay = training.CODEBOOK_DECAY
    np.testing.assert_allclose(after["size"], [2, 2, 4 / 3], rtol=1e-6)
    np.testing.assert_allclose(after["sum"][0], [(1 - decay) * 4, 0], rtol=1e-5)
    np.testing.assert_allclose(
        after["sum"][1], [decay * 2, decay * 2 + (1 - decay) * 10], rtol=1e-5
    )
    np.testing.assert_allclose(codebook[:2], after["sum"][:2] / 2, rtol=1e-4)
    np.testing.assert_allclose(codebook[2], [7, 8], rtol=1e-4)


def test_gradients_leave_codebook_and_statistics_alone(atoms):
    weights = vqvae.init(vqvae.VQVAEConfig(codes=16), np.random.default_rng(0))
    gradients, _ = jax.jit(jax.grad(training._loss, has_aux=True))(weights, vqvae.features(atoms))
    flat = jax.tree_util.tree_flatten_with_path(gradients)[0]
    for path, gradient in flat:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        fixed = name == "codebook" or name.endswith(("mean", "variance"))
        # A bias before a batch norm has no effect; every other weight must feel the loss.
        if fixed:
            assert not gradient.any(), name
        elif name.endswith("weight"):
            assert gradient.any(), name


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
