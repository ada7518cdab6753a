"""The tokenizer that the package ships."""

import statistics
from importlib.resources import files

import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.structure.molecule import MoleculeTokenizer, vqvae
from biomatrix_jax.structure.molecule.conformers import describe_molecules
from biomatrix_jax.structure.molecule.embedding import with_conformer
from biomatrix_jax.structure.molecule.errors import TokenOutside
from biomatrix_jax.structure.molecule.reconstruction import component_errors, coordinate_rmsd
from biomatrix_jax.structure.packaged import tokenizer_path


@pytest.fixture(scope="module")
def tokenizer() -> MoleculeTokenizer:
    return MoleculeTokenizer.from_pretrained()


def test_it_has_the_published_shape_and_is_small(tokenizer):
    assert tokenizer.config == vqvae.VQVAEConfig(codes=512, hidden=64, latent=64)
    directory = files("biomatrix_jax") / "assets" / "molecule_tokenizer"
    names = {file.name: len(file.read_bytes()) for file in directory.iterdir()}
    assert names.keys() == {"config.json", "model.safetensors", "PROVENANCE.md"}
    assert sum(names.values()) < 500_000
    assert tokenizer_path("molecule", "default").samefile(str(directory))


def test_every_code_decodes_to_a_local_geometry(tokenizer):
    r, theta, phi, sign = vqvae.code_table(tokenizer.weights).T
    assert 0.6 < r.min() < r.max() < 4
    assert (theta > -0.1).all()
    assert (theta < np.pi + 0.1).all()
    assert (phi > -0.1).all()
    assert (phi < np.pi + 0.1).all()
    assert set(sign) == {-1, 0, 1}
    # Both hands of every geometry can be told: as many codes above the frame's plane as below.
    framed = theta[sign != 0]
    assert 0.4 < np.mean(framed < np.pi / 2) < 0.6


def test_molecules_come_back(tokenizer, mols):
    encodings = tokenizer.encode_batch(mols)
    decoded = tokenizer.decode_batch([encoding.struct_selfies for encoding in encodings])
    apart = [
        coordinate_rmsd(
            back.GetConformer().GetPositions(), mol.GetConformer().GetPositions()[one.order]
        )
        for mol, one, back in zip(mols, encodings, decoded, strict=True)
    ]
    assert statistics.fmean(apart) < 0.2
    described = np.concatenate([item.descriptors for item in describe_molecules(mols)])
    codes = np.concatenate([encoding.codes for encoding in encodings])
    errors = component_errors(vqvae.code_table(tokenizer.weights)[codes], described)
    assert errors["r"] < 0.04
    assert errors["theta"] < 0.05
    assert errors["phi"] < 0.07
    assert errors["sign_accuracy"] > 0.99


def test_refined_molecules_come_back_closer(tokenizer):
    # All of one compiled size, the second with three atoms on a line; a string that fails between.
    smiles = ("CCO", "CC#N", "C[NH3+]", "C1CC1", "C#CC")
    mols = [with_conformer(Chem.MolFromSmiles(one), 0) for one in smiles]
    encodings = tokenizer.encode_batch(mols)
    strings = [encoding.struct_selfies for encoding in encodings]
    strings.insert(2, "[C 1]?")
    apart = {}
    for refine in (False, True):
        decoded = tokenizer.decode_batch(strings, refine=refine)
        assert isinstance(decoded.pop(2), TokenOutside)
        assert not any(mol.HasProp("refinement_problem") for mol in decoded)
        apart[refine] = [
            coordinate_rmsd(
                back.GetConformer().GetPositions(), mol.GetConformer().GetPositions()[one.order]
            )
            for mol, one, back in zip(mols, encodings, decoded, strict=True)
        ]
    assert (np.array(apart[True]) < 0.8 * np.array(apart[False])).all()


def test_closer_than_the_published_weights(tokenizer, shared_reference, golden):
    published = MoleculeTokenizer.from_pretrained(
        shared_reference / "molstructok" / "molstructok_vqvae.bin"
    )
    mols = [row["mol"] for row in golden[::5]]
    described = np.concatenate([item.descriptors for item in describe_molecules(mols)])
    ours, theirs = (
        component_errors(
            vqvae.code_table(one.weights)[vqvae.encode(one.weights, described)], described
        )
        for one in (tokenizer, published)
    )
    for component in ("r", "theta", "phi"):
        assert ours[component] < 0.9 * theirs[component], component
    assert ours["sign_accuracy"] > 0.999
