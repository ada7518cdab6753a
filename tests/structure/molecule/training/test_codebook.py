import jax.numpy as jnp
import numpy as np

from biomatrix_jax.structure.molecule.training import codebook
from biomatrix_jax.structure.molecule.training.codebook import Usage


def test_moving_averages_by_hand_and_revival_of_dead_codes():
    latents = jnp.array([[1.0, 0], [3.0, 0], [0, 5.0], [0, 5.0]])
    usage = Usage(jnp.array([2.0, 2.0, 0.0]), jnp.array([[0.0, 0], [2, 2], [0, 0]]))
    moved, after = codebook.follow(
        usage,
        latents,
        assigned_n=jnp.array([0, 0, 1, 1]),
        revival_kc=jnp.array([[0.0, 0], [0, 0], [7, 8]]),
        decay=0.9,
        revive_below=0.2,
    )
    np.testing.assert_allclose(after.size, [2, 2, 4 / 3], rtol=1e-6)
    np.testing.assert_allclose(after.total[:2], [[0.4, 0], [1.8, 2.8]], rtol=1e-5)
    np.testing.assert_allclose(moved, [[0.2, 0], [0.9, 1.4], [7, 8]], rtol=1e-4)


def test_a_code_lives_while_its_average_use_lasts():
    usage = Usage(jnp.array([2.0, 2.0]), jnp.array([[2.0], [4.0]]))
    none = jnp.zeros(4, jnp.int32)
    revival = jnp.full((2, 1), 9.0)
    steps = 0
    while True:
        moved, usage = codebook.follow(usage, jnp.ones((4, 1)), none, revival, 0.5, 0.2)
        steps += 1
        if moved[1, 0] > 3:
            break
        np.testing.assert_allclose(moved[1, 0], 2, rtol=1e-3)  # total and size fade alike
    assert steps == 3  # 2 x 0.5^3 is the first below 0.2 x 2


def test_start_takes_latents():
    latents = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    begun, usage = codebook.start(latents, 8, np.random.default_rng(1))
    assert all((latents == row).all(axis=1).any() for row in np.asarray(begun))
    np.testing.assert_allclose(usage.total / usage.size[:, None], begun, rtol=1e-6)


def test_seeds_spread_over_clusters_whatever_their_size():
    random = np.random.default_rng(0)
    centres = 100 * np.eye(5)
    sizes = [1000, 500, 20, 5, 1]
    latents = np.concatenate(
        [centres[i] + 0.1 * random.normal(size=(n, 5)) for i, n in enumerate(sizes)]
    )
    seeds = codebook.seed(latents.astype(np.float32), 5, random)
    assert sorted(np.argmax(seeds, axis=1)) == [0, 1, 2, 3, 4]


def test_seeds_of_fewer_latents_than_codes():
    latents = np.array([[0.0, 0], [1, 1], [1, 1]], np.float32)
    seeds = codebook.seed(latents, 6, np.random.default_rng(0))
    assert seeds.shape == (6, 2)
    assert {tuple(row) for row in seeds} == {(0, 0), (1, 1)}


def test_lloyd_moves_codes_to_means_and_leaves_unused_ones():
    latents = np.array([[0.0], [1.0], [2.0], [10.0], [12.0]], np.float32)
    start = np.array([[0.0], [9.0], [99.0]], np.float32)
    np.testing.assert_allclose(codebook.lloyd(latents, start, 0), start)
    np.testing.assert_allclose(codebook.lloyd(latents, start, 3), [[1], [11], [99]], rtol=1e-6)


def test_lloyd_in_parts_is_lloyd_at_once(monkeypatch):
    random = np.random.default_rng(0)
    latents = random.normal(size=(500, 4)).astype(np.float32)
    start = latents[:20]
    whole = codebook.lloyd(latents, start, 4)
    monkeypatch.setattr(codebook, "ROWS", 64)
    np.testing.assert_allclose(codebook.lloyd(latents, start, 4), whole, atol=1e-5)
