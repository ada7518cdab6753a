"""One step of sampling, against definitions written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomatrix_jax.generate import choose as module

choose = jax.jit(module.choose)
nucleus = jax.jit(module.nucleus)

ROWS = 20_000  # draws; a frequency's standard deviation is below 0.0036


def frequencies(logits, temperature, top_p, seed=0):
    """How often each token is drawn, over many rows with the same logits."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.arange(ROWS))
    rows = jnp.broadcast_to(jnp.asarray(logits, jnp.float32), (ROWS, len(logits)))
    tokens = choose(rows, keys, jnp.float32(temperature), jnp.float32(top_p))
    return np.bincount(np.asarray(tokens), minlength=len(logits)) / ROWS


def smallest_nucleus(probabilities, p):
    """The definition, one token after another in float64."""
    kept, total = [], 0.0
    for token in sorted(range(len(probabilities)), key=lambda i: (-probabilities[i], i)):
        if total >= p:
            break
        kept.append(token)
        total += probabilities[token]
    return sorted(kept)


def kept_tokens(logits, p):
    masked = nucleus(jnp.asarray([logits], jnp.float32), jnp.float32(p))[0]
    return np.flatnonzero(np.isfinite(np.asarray(masked))).tolist()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_divides_the_logits(temperature):
    logits = np.array([1.0, 0.0, -1.0, 2.0])
    expected = np.exp(logits / temperature)
    assert np.allclose(frequencies(logits, temperature, 1.0), expected / expected.sum(), atol=0.015)


def test_top_p_draws_from_the_renormalised_nucleus():
    probabilities = np.array([0.05, 0.4, 0.15, 0.3, 0.1])
    drawn = frequencies(np.log(probabilities), 1.0, 0.8)  # 0.4 + 0.3 is less than 0.8
    assert np.allclose(drawn, np.array([0, 0.4, 0.15, 0.3, 0]) / 0.85, atol=0.015)
    assert set(np.flatnonzero(drawn)) == {1, 2, 3}


def test_top_p_applies_after_temperature():
    # At temperature 2 the first token has probability 0.62 rather than 0.73: a nucleus of 0.7 takes
    # in the second.
    logits = np.array([1.0, 0.0])
    assert frequencies(logits, 1.0, 0.7)[1] == 0
    assert 0.35 < frequencies(logits, 2.0, 0.7)[1] < 0.41


def test_top_p_of_one_keeps_even_the_least_probable():
    drawn = frequencies([0.0, np.log(1e-3)], 1.0, 1.0)
    assert drawn[1] == pytest.approx(1e-3, abs=7e-4)
    assert frequencies([0.0, np.log(1e-3)], 1.0, 0.999)[1] == 0


def test_greedy_takes_the_lowest_of_equals_and_no_temperature_divides_by_zero():
    logits = [0.0, 3.0, 3.0, -np.inf]
    for temperature in (0.0, 1e-45, 1e-38, 1e-30):
        drawn = frequencies(logits, temperature, 0.5)
        assert drawn[1] == 1.0, temperature


def test_the_least_temperature_draws_evenly_among_the_most_probable():
    assert np.allclose(frequencies([0.0, 3.0, 3.0], 1e-30, 1.0), [0, 0.5, 0.5], atol=0.015)


def test_impossible_tokens_are_never_drawn():
    drawn = frequencies([0.0, -np.inf, 0.0, -np.inf], 1e6, 1.0)
    assert np.flatnonzero(drawn).tolist() == [0, 2]


def test_ties_at_the_boundary_go_to_the_lower_ids():
    assert kept_tokens(np.zeros(8), 0.5) == [0, 1, 2, 3]
    assert kept_tokens([0.0, 1.0, 0.0, 0.0], 0.6) == [0, 1]


def test_the_nucleus_never_is_empty():
    assert kept_tokens([0.0, 5.0, 0.0], 1e-6) == [1]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-6, 6), min_size=1, max_size=12),
    st.floats(0.01, 0.99),
)
def test_the_nucleus_is_the_smallest_set_that_reaches_p(logits, p):
    logits = np.array(logits) / 2  # coarse, so that ties are common
    logits = np.pad(logits, (0, 12 - len(logits)), constant_values=-np.inf)  # one compiled shape
    probabilities = np.exp(logits) / np.exp(logits).sum()
    totals = np.cumsum(np.sort(probabilities)[::-1])
    if np.abs(totals - p).min() < 1e-5:
        return  # on the boundary float32 may fall on either side
    assert kept_tokens(logits, p) == smallest_nucleus(probabilities, p)


@pytest.mark.parametrize("p", [1e-50, 1e-45, 1e-39, 1e-38, 1e-30])
def test_the_least_p_draws_the_most_probable(p):
    assert frequencies([0.0, 1.0, 3.0, 2.0], 1.0, p)[2] == 1.0


def test_a_row_draws_by_its_own_key():
    logits = jnp.zeros((3, 1000))
    keys = jax.random.split(jax.random.key(1), 3)
    one, p = jnp.float32(1), jnp.float32(0.9)
    together = choose(logits, keys, one, p)
    alone = [choose(logits[:1], keys[i : i + 1], one, p)[0] for i in range(3)]
    assert together.tolist() == [int(x) for x in alone]
    assert len(set(together.tolist())) == 3
