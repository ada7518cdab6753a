import dataclasses
from importlib import resources
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.packaged import DEFAULT, tokenizer_path
from biomatrix_jax.structure.protein import ProteinTokenizer, chains, files, gaps, weights
from biomatrix_jax.structure.protein.config import LARGE
from biomatrix_jax.structure.protein.graph import RESIDUES

SEQUENCES = {
    "1a8o_A": "DIRQGPKEPFRDYVDRFYKTLRAEQASQEVKNWXTETLLVQNANPDCKTILKALGPGATLEEXXTACQG",
    "4cup_A": "SMSVKKPKRDDSKDLALCSMILTEMETHEDAWPFLLPVNLKLVPGYKKVIKKPMDFSTIREKLSSGQYPNLETFALDVRLVFDN"
    "CETFNEDDSDIGRAGHNMRKYFEKKWTDTFK",
}
# Of the package's chains, those with a gap that gaps.py bridges with an arc: see its docstring.
ARCS = {"1A8O_A", "1GBT_A"}


class Echo(nnx.Module):
    """In the place of the network: its codes are residue classes, its coordinates are codes."""

    traces = 0

    def latents(self, graph, present_bl, observed_bl):
        type(self).traces += 1
        return graph.node_scalars[..., 16 : 16 + len(RESIDUES)] * present_bl[..., None]

    def quantize(self, latents_blc, observed_bl):
        return jnp.where(observed_bl, jnp.argmax(latents_blc, axis=-1), -1)

    def embed(self, codes_bl):
        type(self).traces += 1
        return codes_bl[..., None].astype(jnp.float32)

    def coordinates(self, quantized_blc, observed_bl):
        return quantized_blc[..., None] + jnp.arange(9.0).reshape(3, 3) / 16


@pytest.fixture(scope="module")
def echo() -> ProteinTokenizer:
    return ProteinTokenizer(dataclasses.replace(LARGE, max_length=100), Echo(), residues=256)


@pytest.fixture(scope="session")
def small_tokenizer(small) -> ProteinTokenizer:
    """The network of the worked examples, several chains at once."""
    return ProteinTokenizer(*small, residues=512)


@pytest.fixture(scope="session")
def real_chains() -> dict[str, tuple[np.ndarray, str]]:
    """The backbone and the sequence of all chains that come with the package."""
    found = {}
    folder = resources.files("biomatrix_jax") / "assets" / "proteins"
    for file in files.structure_files(str(folder)):
        entry = files.parse(file)
        for parsed in entry.chains:
            chain = chains.read_chain(parsed, chains.Limits())
            found[f"{entry.id}_{chain.id}"] = (chain.backbone, chain.sequence)
    return found


@pytest.fixture(scope="module")
def medium(real_chains) -> dict[str, tuple[np.ndarray, str]]:
    """Those of one padded length, so that one program does."""
    return {name: chain for name, chain in real_chains.items() if 64 < len(chain[1]) <= 128}


def chain(length: int, seed: int = 0) -> tuple[np.ndarray, str]:
    random = np.random.default_rng(seed)
    letters = random.choice(list("ACDEFGHIKLMNPQRSTVWYX"), length)
    backbone = np.cumsum(random.normal(size=(length, 1, 3), scale=2), axis=0)
    return backbone + random.normal(size=(length, 4, 3)), "".join(letters)


def moved(backbone: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Turned at random and shifted by up to 100 angstrom, not mirrored."""
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    return (backbone @ turn + random.uniform(-100, 100, 3)).astype(np.float32)


def changed(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    """The share of codes that differ."""
    before, after = np.concatenate(before), np.concatenate(after)
    np.testing.assert_array_equal(before < 0, after < 0)
    return np.mean((before != after)[before >= 0])


@pytest.mark.parametrize("name", SEQUENCES)
def test_worked_examples_from_end_to_end(gcp_vqvae, small_tokenizer, name):
    example = np.load(gcp_vqvae / f"{name}.npz")
    raw, length = example["coords_raw"], len(SEQUENCES[name])
    codes = small_tokenizer.encode(raw, SEQUENCES[name])
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(codes, example["vq_indices"][:length])
    np.testing.assert_array_equal(small_tokenizer.encode(raw[:, :3], SEQUENCES[name]), codes)
    backbone = small_tokenizer.decode(codes)
    assert backbone.dtype == np.float32
    expected = np.where(codes[:, None, None] < 0, np.nan, example["coords_out"][:length])
    np.testing.assert_allclose(backbone, expected, atol=1e-4, rtol=0)
    compact = small_tokenizer.decode(codes[codes >= 0])
    np.testing.assert_allclose(compact, example["decode_only_coords"], atol=1e-4, rtol=0)


def test_company_and_batch_size_change_no_code(small, small_tokenizer, medium):
    single = ProteinTokenizer(*small, residues=1)
    together = small_tokenizer.encode_batch(list(medium.values()))
    backbones = small_tokenizer.decode_batch(together)
    for part, codes, backbone in zip(medium.values(), together, backbones, strict=True):
        np.testing.assert_array_equal(single.encode(*part), codes)
        np.testing.assert_array_equal(small_tokenizer.encode(*part), codes)
        np.testing.assert_array_equal(small_tokenizer.decode(codes), backbone)
        np.testing.assert_allclose(single.decode(codes), backbone, atol=1e-4, rtol=0)
    assert len(together) > 8


def test_pose_changes_no_code_and_mirror_image_and_sequence_do(small_tokenizer, medium):
    random = np.random.default_rng(0)
    whole = [part for name, part in medium.items() if name not in ARCS]
    codes = small_tokenizer.encode_batch(whole)
    for _ in range(3):
        turned = [(moved(backbone, random), sequence) for backbone, sequence in whole]
        assert changed(codes, small_tokenizer.encode_batch(turned)) == 0
    mirrored = [(backbone * [1, 1, -1], sequence) for backbone, sequence in whole]
    assert changed(codes, small_tokenizer.encode_batch(mirrored)) > 0.95
    alanine = [(backbone, "A" * len(sequence)) for backbone, sequence in whole]
    assert changed(codes, small_tokenizer.encode_batch(alanine)) > 0.6


def test_pose_matters_only_through_arcs(small_tokenizer, real_chains):
    """Where it does, it is the filled gap that differs: filled first, nothing changes."""
    backbone, sequence = real_chains["1A8O_A"]
    random = np.random.default_rng(0)
    turned = [(moved(backbone, random), sequence) for _ in range(8)]
    poses = small_tokenizer.encode_batch([(backbone, sequence), *turned])
    assert any((poses[0] != pose).any() for pose in poses[1:])
    filled, _ = gaps.impute(backbone)
    turned = [(moved(filled, random), sequence) for _ in range(8)]
    poses = small_tokenizer.encode_batch([(filled, sequence), *turned])
    assert all((poses[0] == pose).all() for pose in poses[1:])


@pytest.mark.slow
def test_chains_of_all_lengths(small, real_chains):
    config = dataclasses.replace(small[0], max_length=1280)
    single, several = (ProteinTokenizer(config, small[1], residues=n) for n in (1, 1024))
    parts = list(real_chains.values())
    # As short as can be, too: with fewer edges than neighbours, or none at all.
    short = [(backbone[:n], letters[:n]) for n, (backbone, letters) in enumerate(parts[:18], 1)]
    for part, codes in zip(short, several.encode_batch(short), strict=True):
        np.testing.assert_array_equal(single.encode(*part), codes)
        assert np.isfinite(several.decode(codes)).all()
    codes = several.encode_batch(parts)
    assert changed(codes, [single.encode(*part) for part in parts]) == 0
    random = np.random.default_rng(1)
    turned = several.encode_batch(
        [(moved(backbone, random), letters) for backbone, letters in parts]
    )
    for name, before, after in zip(real_chains, codes, turned, strict=True):
        assert name in ARCS or (before == after).all(), name
    mirrored = several.encode_batch(
        [(backbone * [1, 1, -1], letters) for backbone, letters in parts]
    )
    assert changed(codes, mirrored) > 0.95
    for one, other in zip(single.decode_batch(codes), several.decode_batch(codes), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=0)


def test_save_and_load(small_tokenizer, medium, tmp_path):
    small_tokenizer.save(tmp_path / "tok")
    again = ProteinTokenizer.from_pretrained(tmp_path / "tok")
    assert again.config == small_tokenizer.config
    part = next(iter(medium.values()))
    codes = small_tokenizer.encode(*part)
    np.testing.assert_array_equal(again.encode(*part), codes)
    np.testing.assert_allclose(again.decode(codes), small_tokenizer.decode(codes), atol=1e-4)
    with pytest.raises(BadInput, match="tok"):
        again.save(tmp_path / "tok")


def test_without_a_path_it_is_the_shipped_tokenizer(echo, monkeypatch):
    read = []
    monkeypatch.setattr(weights, "read", lambda path: read.append(path) or (echo.config, Echo()))
    assert ProteinTokenizer.from_pretrained().config is echo.config
    ProteinTokenizer.from_pretrained("./default")
    assert read == [tokenizer_path("protein", DEFAULT), Path("default")]


def test_results_are_in_place_and_as_long_as_the_chains(echo):
    parts = [chain(n, n) for n in (70, 3, 100, 64, 65, 1, 30, 2, 20)]
    parts[3][0][[0, 10, 11]] = np.nan
    codes = echo.encode_batch(parts)
    for (backbone, sequence), found in zip(parts, codes, strict=True):
        classes = np.array([RESIDUES.index(letter) for letter in sequence])
        classes[np.isnan(backbone).any(axis=(1, 2))] = -1
        np.testing.assert_array_equal(found, classes)
        assert found.dtype == np.int32
    assert (codes[3] < 0).sum() == 3
    for found, backbone in zip(codes, echo.decode_batch(codes), strict=True):
        assert backbone.shape == (len(found), 3, 3)
        assert backbone.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(backbone).any(axis=(1, 2)), found < 0)
        np.testing.assert_array_equal(backbone[found >= 0, 0, 1], found[found >= 0] + 1 / 16)
    assert echo.encode_batch([]) == []


def test_each_padded_length_is_compiled_once(echo):
    """Lengths up to 100 are padded to 64 or 100: two programs, however many chains."""
    tokenizer = ProteinTokenizer(echo.config, Echo(), residues=128)
    Echo.traces = 0
    for seed in range(3):
        parts = [chain(n, seed) for n in range(1 + seed, 101, 7)]
        codes = tokenizer.encode_batch(parts)
        tokenizer.encode(*parts[-1])
    assert Echo.traces == 2
    for _ in range(3):
        tokenizer.decode_batch(codes)
        tokenizer.decode(codes[-1])
    assert Echo.traces == 4


def test_letters_of_no_single_residue_are_any(echo):
    backbone, _ = chain(9)
    x = RESIDUES.index("X")
    assert echo.encode(backbone, "AUOBZJXCY").tolist() == [0] + [x] * 6 + [2, len(RESIDUES) - 1]


def without(backbone: np.ndarray, *missing) -> np.ndarray:
    backbone = backbone.copy()
    backbone[missing] = np.nan
    return backbone


BACKBONE, SEQUENCE = chain(10)


@pytest.mark.parametrize(
    ("backbone", "sequence", "problem"),
    [
        (*chain(101), "101 residues: this tokenizer takes chains of 1 to 100"),
        (np.zeros((0, 4, 3)), "", "0 residues"),
        (BACKBONE[:, :2], SEQUENCE, r"not \[10, 2, 3\]"),
        (BACKBONE[..., :2], SEQUENCE, r"not \[10, 4, 2\]"),
        (BACKBONE[0], SEQUENCE, r"not \[4, 3\]"),
        (BACKBONE, SEQUENCE + "A", "10 residues and the sequence 11"),
        (without(BACKBONE, slice(None), 2), SEQUENCE, "no residue of the chain has all"),
        (np.where(BACKBONE > 3, np.inf, BACKBONE), SEQUENCE, "further than 1e.06 angstrom"),
        (BACKBONE * 1e20, SEQUENCE, "further than"),
        (BACKBONE, list(SEQUENCE), "the sequence should be text, not list"),
        (BACKBONE, SEQUENCE[:-1] + "a", "the sequence has 'a'"),
        (BACKBONE, SEQUENCE[:-1] + "-", "the sequence has '-'"),
        ([["N"]], "A", "the backbone should be an array of numbers"),
    ],
)
def test_chains_that_do_not_encode(echo, backbone, sequence, problem):
    with pytest.raises(BadInput, match=problem):
        echo.encode(backbone, sequence)
    good = chain(12, 3)
    first, error, last = echo.encode_batch([good, (backbone, sequence), good])
    assert isinstance(error, BadInput)
    np.testing.assert_array_equal(first, last)
    assert len(last) == 12


@pytest.mark.parametrize(
    ("codes", "problem"),
    [
        ([1, 4096, 2], "code 4096 is not among the 4096"),
        ([1, -2], "code -2 is not among"),
        ([-1, -1], "no residue has a code"),
        ([], "0 residues"),
        ([1] * 101, "101 residues"),
        ([[1, 2]], "a list of integers"),
        ([1.5], "a list of integers"),
        ([np.nan], "a list of integers"),
        (["C"], "the codes should be an array of numbers"),
    ],
)
def test_codes_that_do_not_decode(echo, codes, problem):
    with pytest.raises(BadInput, match=problem):
        echo.decode(codes)
    first, error, last = echo.decode_batch([[5, -1, 6], codes, [5, -1, 6]])
    assert isinstance(error, BadInput)
    np.testing.assert_array_equal(first, last)
    assert len(last) == 3
