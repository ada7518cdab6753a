"""The codebook's losses, averages and k-means beside plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biomatrix_jax.structure.protein.training import codebook
from biomatrix_jax.structure.protein.training.codebook import Codebook

RANDOM = np.random.default_rng(0)
LATENTS = RANDOM.normal(size=(30, 5)).astype(np.float32)
CODES = RANDOM.normal(size=(8, 5)).astype(np.float32)
WEIGHTS = (RANDOM.random(30) < 0.8).astype(np.float32)
KEY = jax.random.key(0)


def nearest(latents, codes):
    return ((latents[:, None].astype(float) - codes) ** 2).sum(-1).argmin(1)


def test_the_nearest_code_and_the_lower_one_of_two_equal():
    np.testing.assert_array_equal(codebook.nearest(LATENTS, CODES), nearest(LATENTS, CODES))
    twice = np.concatenate([CODES, CODES])
    assert codebook.nearest(LATENTS, twice).max() < len(CODES)


def test_the_rotation_trick_gives_the_code_and_turns_the_gradient():
    """R as a matrix: the rotation in the plane of e and q that takes one's direction to the
    other's."""
    e, q = LATENTS[0].astype(float), CODES[1].astype(float)
    length = np.linalg.norm
    u = e / length(e)
    w = q - (q @ u) * u
    w /= length(w)
    cos = q @ u / length(q)
    sin = np.sqrt(1 - cos**2)
    plane = np.outer(u, u) + np.outer(w, w)
    turn = np.eye(5) - plane + cos * plane + sin * (np.outer(w, u) - np.outer(u, w))
    jacobian = length(q) / length(e) * turn

    value, pull = jax.vjp(codebook.rotated, LATENTS[:1], CODES[1:2])
    np.testing.assert_allclose(value[0], CODES[1], rtol=1e-5)
    upstream = RANDOM.normal(size=(1, 5)).astype(np.float32)
    to_latent, to_code = pull(jnp.asarray(upstream))
    np.testing.assert_allclose(to_latent[0], jacobian.T @ upstream[0], rtol=1e-4)
    assert np.all(to_code == 0)


def test_rotation_of_a_zero_latent_is_finite():
    value, pull = jax.vjp(codebook.rotated, np.zeros((1, 5), np.float32), CODES[:1])
    assert np.isfinite(value).all()
    assert np.isfinite(pull(jnp.ones((1, 5)))[0]).all()


def test_commitment_by_hand_moves_latents_and_codes():
    chosen = CODES[nearest(LATENTS, CODES)]
    kept = WEIGHTS > 0
    expected = ((LATENTS - chosen)[kept].astype(float) ** 2).mean()
    loss, (latents, codes) = jax.value_and_grad(codebook.commitment, argnums=(0, 1))(
        LATENTS, chosen, WEIGHTS
    )
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(latents, -codes, rtol=1e-6)
    np.testing.assert_allclose(
        latents[kept], 2 * (LATENTS - chosen)[kept] / (5 * kept.sum()), rtol=1e-4, atol=1e-7
    )
    assert np.all(latents[~kept] == 0)


def by_hand_orthogonality(codes):
    unit = codes.astype(float) / np.linalg.norm(codes, axis=1, keepdims=True)
    return ((unit @ unit.T) ** 2).sum() / len(codes) ** 2 - 1 / len(codes)


def test_orthogonality_is_of_active_codes_alone():
    active = np.array([1, 0, 1, 1, 0, 1, 0, 0], bool)
    found = codebook.orthogonality(CODES, active, 512, KEY)
    assert found == pytest.approx(by_hand_orthogonality(CODES[active]), rel=1e-5)
    gradient = jax.grad(codebook.orthogonality)(CODES, active, 512, KEY)
    assert np.all(gradient[~active] == 0)
    assert np.abs(gradient[active]).min() > 0
    assert codebook.orthogonality(np.eye(8, 5, dtype=np.float32), active, 512, KEY) < 1


def test_orthogonality_of_too_many_codes_draws_some_of_the_active():
    active = np.array([1, 1, 1, 1, 0, 1, 0, 0], bool)
    pairs = {
        round(by_hand_orthogonality(CODES[[i, j]]), 5): (i, j)
        for i in np.flatnonzero(active)
        for j in np.flatnonzero(active)
        if i < j
    }
    drawn = {
        pairs[round(float(codebook.orthogonality(CODES, active, 2, jax.random.key(seed))), 5)]
        for seed in range(30)
    }
    assert len(drawn) > 5


def test_moving_averages_by_hand_and_a_dead_code_starts_anew():
    counts = RANDOM.random(8).astype(np.float32) * 3 + 2
    sums = CODES * counts[:, None]
    assigned = np.where(nearest(LATENTS, CODES) == 6, 0, nearest(LATENTS, CODES))
    counts[6] = 1.0  # and gets nothing
    new = codebook.followed(
        Codebook(CODES, counts, sums), LATENTS, assigned, WEIGHTS, 0.9, 1.5, KEY
    )
    for code in range(8):
        mine = LATENTS[(assigned == code) & (WEIGHTS > 0)].astype(float)
        count = 0.9 * counts[code] + 0.1 * len(mine)
        if count < 1.5:
            assert code == 6
            continue
        total = 0.9 * sums[code] + 0.1 * mine.sum(0)
        assert new.counts[code] == pytest.approx(count, rel=1e-5)
        np.testing.assert_allclose(new.sums[code], total, rtol=1e-4, atol=1e-5)
        # Smoothing moves a code by some millionths.
        np.testing.assert_allclose(new.codes[code], total / count, rtol=1e-4, atol=1e-5)
    assert new.counts[6] == 1.5
    np.testing.assert_allclose(new.sums[6], 1.5 * new.codes[6], rtol=1e-6)
    assert (np.abs(LATENTS[WEIGHTS > 0] - new.codes[6]).max(1) == 0).sum() == 1


def test_what_is_not_observed_changes_no_average_whatever_it_is():
    codes = Codebook(CODES, np.full(8, 5, np.float32), CODES * 5)
    assigned = nearest(LATENTS, CODES)
    spoilt = np.where(WEIGHTS[:, None] > 0, LATENTS, np.nan)
    for a, b in zip(
        codebook.followed(codes, LATENTS, assigned, WEIGHTS, 0.9, 0.1, KEY),
        codebook.followed(codes, spoilt, assigned, WEIGHTS, 0.9, 0.1, KEY),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_kmeans_finds_clusters_that_are_there():
    centres = 20 * np.eye(5, dtype=np.float32)
    latents = np.repeat(centres, 40, axis=0) + RANDOM.normal(size=(200, 5)).astype(np.float32)
    # Of ten means for five clusters each has one; only what has weight is clustered.
    weights = np.repeat([1, 1, 1, 0, 1], 40).astype(np.float32)
    found = codebook.kmeans(latents, weights, 12, 10, jax.random.key(1))
    distances = ((np.asarray(found.codes)[:, None] - centres) ** 2).sum(-1)
    assert set(distances.argmin(1)) <= {0, 1, 2, 4}
    assert found.counts.sum() == weights.sum()
    for code in np.flatnonzero(found.counts):
        mine = latents[(nearest(latents, np.asarray(found.codes)) == code) & (weights > 0)]
        np.testing.assert_allclose(found.codes[code], mine.mean(0), rtol=1e-3, atol=2e-3)
        np.testing.assert_allclose(found.sums[code], mine.sum(0), rtol=1e-3, atol=0.05)


def test_kmeans_one_iteration_by_hand():
    found = codebook.kmeans(LATENTS, np.ones(30, np.float32), 4, 1, KEY)
    start = codebook.kmeans(LATENTS, np.ones(30, np.float32), 4, 0, KEY).codes
    assigned = nearest(LATENTS, np.asarray(start))
    means = np.stack([LATENTS[assigned == code].mean(0) for code in range(4)])
    np.testing.assert_allclose(found.codes, means, rtol=1e-5, atol=1e-6)


def test_perplexity_counts_codes_in_even_use():
    assigned, weights = np.array([0, 1, 2, 3, 3]), np.array([1, 1, 1, 1, 0], np.float32)
    assert codebook.perplexity(assigned, weights, 8) == pytest.approx(4)
