import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import MoleculeTokenizer, released, vqvae, weights

SMALL = vqvae.VQVAEConfig(codes=5, hidden=3, latent=2)


@pytest.fixture
def published(shared_reference) -> MoleculeTokenizer:
    path = shared_reference / "molstructok" / "molstructok_vqvae.bin"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return MoleculeTokenizer.from_pretrained(path)


def stand_in(monkeypatch, edit=lambda tensors: None) -> dict[str, np.ndarray]:
    """Has `read_released` find a small network under the published names."""
    ours = weights.flatten(vqvae.init(SMALL, np.random.default_rng(0)))
    random = np.random.default_rng(1)
    tensors = {
        theirs: random.normal(size=ours[name].shape).astype(np.float32)
        for theirs, name in released._our_names().items()
    }
    tensors["encoder.1.num_batches_tracked"] = np.array(4)
    tensors["mu.mlp.0.weight"] = tensors["quantizer.ema_cluster_size"] = np.zeros(5, np.float32)
    edit(tensors)
    monkeypatch.setattr(released, "read_tensors", lambda path: tensors)
    return tensors


def test_names_and_sizes(monkeypatch):
    tensors = stand_in(monkeypatch)
    config, tree = released.read_released("w.bin")
    assert config == SMALL
    norm = tree["heads"]["torsion"]["norm_1"]
    theirs = "multi_head_decoder.gen_tor_branch.4."
    for ours, name in (("scale", "weight"), ("mean", "running_mean"), ("variance", "running_var")):
        np.testing.assert_array_equal(norm[ours], tensors[theirs + name])
    np.testing.assert_array_equal(tree["encoder"]["linear_2"]["bias"], tensors["encoder.6.bias"])
    np.testing.assert_array_equal(tree["codebook"], tensors["quantizer.embedding.weight"])


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda t: t.pop("quantizer.embedding.weight"), "no matrix quantizer.embedding.weight"),
        (lambda t: t.pop("encoder.3.bias"), "missing encoder.linear_1.bias"),
        (lambda t: t.update(stray=np.zeros(2)), "unexpected stray"),
        (lambda t: t.update({"encoder.3.bias": np.zeros(4)}), "encoder.linear_1.bias is float64"),
    ],
)
def test_other_weights_are_refused(monkeypatch, edit, problem):
    stand_in(monkeypatch, edit)
    with pytest.raises(BadInput, match=problem):
        released.read_released("w.bin")


def test_codes_and_strings_are_the_published_ones(published, golden):
    assert published.config == vqvae.VQVAEConfig()
    encodings = published.encode_batch([row["mol"] for row in golden])
    for encoding, row in zip(encodings, golden, strict=True):
        assert encoding.codes.tolist() == row["codes"]
        assert encoding.struct_selfies == row["struct_selfies"]


def test_decoded_coordinates_are_the_published_ones(published, golden):
    for row in golden:
        mol = published.decode(row["struct_selfies"])
        positions = mol.GetConformer().GetPositions()
        np.testing.assert_allclose(positions, row["decoded_positions"], atol=1e-4)
        assert Chem.MolToSmiles(mol) == row["decoded_smiles"]  # without a stereo label in any


def test_published_weights_survive_our_own_format(published, golden, tmp_path):
    published.save(tmp_path / "tok")
    again = MoleculeTokenizer.from_pretrained(tmp_path / "tok")
    mols = [row["mol"] for row in golden[:20]]
    for one, two in zip(published.encode_batch(mols), again.encode_batch(mols), strict=True):
        assert one.struct_selfies == two.struct_selfies
    np.testing.assert_array_equal(again._table, published._table)
