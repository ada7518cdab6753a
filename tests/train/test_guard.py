import dataclasses

import jax
import numpy as np
import pytest

from biomatrix_jax.config import GuardConfig
from biomatrix_jax.train.guard import Guard

CONFIG = GuardConfig(deviations=4, window=10)


@pytest.fixture(scope="module")
def judge():
    return jax.jit(lambda config, guard, *values: guard.judge(config, *values), static_argnums=0)


@pytest.fixture(scope="module")
def usual():
    """[30, 2]: losses and gradient norms of a quiet run."""
    return np.random.default_rng(0).normal([3, 0.5], [0.1, 0.05], (30, 2)).astype(np.float32)


def judged(judge, values, config=CONFIG):
    guard, taken = Guard.new(), []
    for loss, norm in values:
        take, guard = judge(config, guard, loss, norm)
        taken.append(bool(take))
    return taken, guard


def test_a_quiet_run_is_taken_whole_and_its_figures_are_known(judge, usual):
    taken, guard = judged(judge, usual)
    assert all(taken)
    assert (guard.accepted, guard.skipped, guard.in_a_row) == (30, 0, 0)
    np.testing.assert_allclose(guard.mean, [3, 0.5], rtol=0.05)
    np.testing.assert_allclose(np.sqrt(guard.variance), [0.1, 0.05], rtol=0.5)


def test_the_first_steps_have_plain_averages(judge, usual):
    _, guard = judged(judge, usual[:10])
    np.testing.assert_allclose(guard.mean, usual[:10].mean(0), rtol=1e-5)
    np.testing.assert_allclose(guard.variance, usual[:10].var(0), rtol=1e-4)


@pytest.mark.parametrize("spike", [(3.9, 0.5), (3, 1.0), (np.inf, 0.5), (3, np.nan)])
def test_a_spike_is_skipped_and_leaves_no_trace(judge, usual, spike):
    taken, guard = judged(judge, [*usual[:20], spike])
    _, before = judged(judge, usual[:20])
    assert taken == [True] * 20 + [False]
    assert (guard.accepted, guard.skipped, guard.in_a_row) == (20, 1, 1)
    np.testing.assert_array_equal(guard.mean, before.mean)
    np.testing.assert_array_equal(guard.variance, before.variance)


def test_what_is_low_is_no_spike(judge, usual):
    assert judged(judge, [*usual[:20], (0.1, 0.001)])[0][-1]


def test_those_in_a_row_are_counted_anew_after_one_taken(judge, usual):
    bad = (9, 9)
    _, guard = judged(judge, [*usual[:20], bad, bad, usual[20], bad])
    assert (guard.skipped, guard.in_a_row, guard.accepted) == (3, 1, 21)


def test_within_the_first_window_only_what_is_not_finite_is_skipped(judge, usual):
    assert judged(judge, [*usual[:5], (50, 50), (np.nan, 1)])[0][-2:] == [True, False]


def test_without_deviations_only_what_is_not_finite_is_skipped(judge, usual):
    config = dataclasses.replace(CONFIG, deviations=0)
    taken, _ = judged(judge, [*usual, (1e9, 1e9), (1, np.inf)], config)
    assert taken[-2:] == [True, False]


def test_a_run_that_stands_still_may_move(judge):
    assert all(judged(judge, [(2, 1)] * 20 + [(2.05, 1.03)])[0])
