import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import vqvae
from biomatrix_jax.structure.molecule.vqvae import VQVAEConfig

SMALL = VQVAEConfig(codes=20, hidden=8, latent=6)


@pytest.fixture(scope="module")
def weights() -> vqvae.Weights:
    """Weights with every tensor away from its neutral value."""
    random = np.random.default_rng(0)
    tree = vqvae.init(SMALL, random)
    tree = jax.tree.map(lambda leaf: leaf + random.uniform(0.1, 0.3, leaf.shape), tree)
    tree = jax.tree.map(lambda leaf: leaf.astype(np.float32), tree)
    latents, _ = vqvae.perceptron(tree["encoder"], vqvae.features(descriptors(SMALL.codes)))
    tree["codebook"] = np.asarray(latents)
    return tree


def by_hand(weights: vqvae.Weights, x: np.ndarray, train: bool = False) -> np.ndarray:
    for i in (0, 1):
        layer, norm = weights[f"linear_{i}"], weights[f"norm_{i}"]
        x = x @ np.asarray(layer["weight"]).T + np.asarray(layer["bias"])
        mean, variance = (x.mean(0), x.var(0)) if train else (norm["mean"], norm["variance"])
        x = (x - mean) / np.sqrt(variance + 1e-5) * norm["scale"] + norm["bias"]
        x = np.maximum(x, 0)
    return x @ np.asarray(weights["linear_2"]["weight"]).T + np.asarray(weights["linear_2"]["bias"])


def descriptors(count: int) -> np.ndarray:
    random = np.random.default_rng(count)
    columns = random.uniform(0.9, 2, count), *random.uniform(0, np.pi, (2, count))
    return np.stack([*columns, random.integers(-1, 2, count)], axis=1)


def test_default_shapes_are_the_released_ones():
    tree = vqvae.init(VQVAEConfig(), np.random.default_rng(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {np.dtype(np.float32)}
    shapes = jax.tree.map(lambda leaf: leaf.shape, tree)
    assert shapes["codebook"] == (512, 64)
    assert shapes["encoder"]["linear_0"] == {"weight": (64, 4), "bias": (64,)}
    assert shapes["encoder"]["linear_2"] == {"weight": (64, 64), "bias": (64,)}
    outputs = {name: head["linear_2"]["weight"][0] for name, head in shapes["heads"].items()}
    assert outputs == {"length": 1, "angle": 1, "torsion": 1, "sign": 3}


def test_init_depends_on_the_seed_and_separates_the_heads():
    one, same, other = (vqvae.init(SMALL, np.random.default_rng(seed)) for seed in (1, 1, 2))
    weight = one["heads"]["angle"]["linear_0"]["weight"]
    np.testing.assert_array_equal(weight, same["heads"]["angle"]["linear_0"]["weight"])
    assert (weight != other["heads"]["angle"]["linear_0"]["weight"]).all()
    assert (weight != one["heads"]["torsion"]["linear_0"]["weight"]).all()


@pytest.mark.parametrize(
    "sizes", [{"codes": 0}, {"hidden": -1}, {"latent": 0}, {"codes": 2.5}, {"codes": True}]
)
def test_sizes_must_be_positive_integers(sizes):
    (name,) = sizes
    with pytest.raises(BadInput, match=f"{name} must be a positive integer, not"):
        VQVAEConfig(**sizes)


def test_shapes_are_those_of_drawn_weights():
    drawn = vqvae.init(SMALL, np.random.default_rng(0))
    assert vqvae.shapes(SMALL) == jax.eval_shape(lambda: drawn)
    assert vqvae.shapes(VQVAEConfig(codes=10**13))["codebook"].shape == (10**13, 64)


def test_features_are_scaled_like_the_published_ones():
    row = np.array([[1.7, np.pi / 2, np.pi / 4, -1]])
    np.testing.assert_allclose(vqvae.features(row), [[np.log(2.7), 0.5, 0.25, -1]], rtol=1e-6)
    assert vqvae.features(row).dtype == np.float32


@pytest.mark.parametrize("train", [False, True])
def test_perceptron(weights, train):
    x = vqvae.features(descriptors(50))
    outputs, statistics = vqvae.perceptron(weights["encoder"], x, train)
    np.testing.assert_allclose(outputs, by_hand(weights["encoder"], x, train), rtol=2e-4, atol=1e-4)
    assert set(statistics) == ({"norm_0", "norm_1"} if train else set())
    if train:
        layer = weights["encoder"]["linear_0"]
        hidden = x @ np.asarray(layer["weight"]).T + np.asarray(layer["bias"])
        np.testing.assert_allclose(statistics["norm_0"]["mean"], hidden.mean(0), rtol=1e-5)
        np.testing.assert_allclose(statistics["norm_0"]["variance"], hidden.var(0), rtol=1e-4)


def test_nearest_codes_against_brute_force():
    random = np.random.default_rng(4)
    latents, codebook = random.normal(size=(200, 6)), random.normal(size=(20, 6))
    distances = np.linalg.norm(latents[:, None] - codebook[None], axis=-1)
    found = vqvae.nearest_codes(jnp.asarray(latents, jnp.float32), jnp.asarray(codebook))
    np.testing.assert_array_equal(found, distances.argmin(1))


def test_nearest_codes_prefers_the_lower_index():
    codebook = jnp.array([[5.0, 5], [1, 0], [1, 0]])
    assert vqvae.nearest_codes(jnp.array([[1.0, 0]]), codebook).tolist() == [1]


def test_codes_do_not_depend_on_the_batch(weights):
    rows = descriptors(700)
    together = vqvae.encode(weights, rows)
    assert together.shape == (700,)
    assert together.dtype == np.int32
    assert len(np.unique(together)) > 5
    pieces = [vqvae.encode(weights, rows[a:b]) for a, b in ((0, 1), (1, 300), (300, 700))]
    np.testing.assert_array_equal(np.concatenate(pieces), together)
    assert vqvae.encode(weights, rows[:0]).shape == (0,)


def test_code_table_is_what_the_heads_say(weights):
    table = vqvae.code_table(weights)
    out = {
        name: by_hand(head, np.asarray(weights["codebook"]))
        for name, head in weights["heads"].items()
    }
    assert table.shape == (20, 4)
    assert table.dtype == np.float64
    np.testing.assert_allclose(table[:, 0], np.exp(out["length"][:, 0]) - 1, rtol=1e-3)
    np.testing.assert_allclose(table[:, 1], out["angle"][:, 0] * np.pi, rtol=1e-3)
    np.testing.assert_allclose(table[:, 2], out["torsion"][:, 0] * np.pi, rtol=1e-3)
    np.testing.assert_array_equal(table[:, 3], out["sign"].argmax(1) - 1)
