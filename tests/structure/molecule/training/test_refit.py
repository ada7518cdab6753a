import jax
import numpy as np
import pytest

from biomatrix_jax.structure.molecule import vqvae
from biomatrix_jax.structure.molecule.training import TrainingConfig
from biomatrix_jax.structure.molecule.training import refit as refits
from biomatrix_jax.structure.molecule.training.losses import displacements

# Three kinds of atoms, each scattered a little: angstrom, radian, radian, sign.
KINDS = np.array([[1.1, 1.0, 1.9, 1.0], [1.5, 1.57, 2.1, -1.0], [1.9, 2.2, 1.2, 1.0]])
CONFIG = TrainingConfig(codes=8, steps=1, lloyd_iterations=5, decoder_steps=800)


@pytest.fixture(scope="module")
def atoms():
    random = np.random.default_rng(0)
    scatter = [0.01, 0.02, 0.02, 0] * random.normal(size=(600, 4))
    return np.repeat(KINDS, 200, axis=0) + scatter


@pytest.fixture(scope="module")
def weights():
    sizes = vqvae.VQVAEConfig(codes=CONFIG.codes)
    return jax.tree.map(jax.numpy.asarray, vqvae.init(sizes, np.random.default_rng(0)))


def test_aims_by_hand():
    data = vqvae.features(
        np.array([[1.0, 1.0, 2.0, 1], [1.4, 2.0, 2.2, 1], [1.2, 1.5, 3.0, -1], [2, 1, 1, -1]])
    )
    weight = np.asarray(displacements(data), np.float64)
    aims, matter = refits.aims(data, np.array([0, 0, 0, 3]), 5)
    for column in range(3):
        expected = np.average(data[:3, column], weights=weight[:3, column])
        assert aims[0, column] == pytest.approx(expected, rel=1e-5)
        assert aims[3, column] == pytest.approx(data[3, column], rel=1e-5)
    assert aims[0, 3] == 1
    assert aims[3, 3] == -1
    # Uses of the five codes: 3, 0, 0, 1, 0, on average 0.8.
    np.testing.assert_allclose(matter[0], 3 / 0.8 * weight[:3].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(matter[3], 1 / 0.8 * weight[3], rtol=1e-5)
    assert not matter[[1, 2, 4]].any()


def test_rare_codes_keep_a_least_weight():
    data = vqvae.features(np.repeat(KINDS[:1], 101, axis=0))
    _, matter = refits.aims(data, np.r_[np.zeros(100, int), 1], 2)
    weight = np.asarray(displacements(data[:1]))[0]
    np.testing.assert_allclose(matter[1], refits.LEAST_USE * weight, rtol=1e-4)


def test_refit_finds_the_kinds_and_what_they_decode_to(weights, atoms):
    after = refits.refit(weights, vqvae.features(atoms), CONFIG)
    codes = vqvae.encode(after, atoms)
    decoded = vqvae.code_table(after)[codes]
    # No code serves two kinds, and what it decodes to is within the scatter of its atoms.
    by_kind = [set(part) for part in np.split(codes, 3)]
    assert sum(map(len, by_kind)) == len(set.union(*by_kind))
    assert (decoded[:, 3] == atoms[:, 3]).all()
    assert (np.abs(decoded - atoms)[:, :3].mean(axis=0) < [0.012, 0.025, 0.025]).all()
    # Mirror images are as good: they were among the atoms.
    mirrored = atoms * [1, -1, 1, 1] + [0, np.pi, 0, 0]
    error = vqvae.code_table(after)[vqvae.encode(after, mirrored)] - mirrored
    assert np.abs(error[:, 1]).mean() < 0.03
    # Encoder untouched; and twice is the same.
    assert after["encoder"] is weights["encoder"]
    again = refits.refit(weights, vqvae.features(atoms), CONFIG)
    for one, two in zip(jax.tree.leaves(after), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, two)


def test_nothing_is_refitted_unless_asked_for(weights, atoms):
    config = TrainingConfig(codes=8, steps=1, lloyd_iterations=0, decoder_steps=0)
    after = refits.refit(weights, vqvae.features(atoms), config)
    assert all(after[name] is weights[name] for name in weights)


def test_codes_in_parts_are_those_of_the_encoder(weights, atoms, monkeypatch):
    monkeypatch.setattr(refits, "ROWS", 250)
    x = vqvae.features(atoms)
    np.testing.assert_array_equal(refits.codes_of(weights, x), vqvae.encode(weights, atoms))
