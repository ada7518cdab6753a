import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomatrix_jax.report.curves import bucket_means, envelope, short, smooth, spread, ticks


def test_smooth_keeps_straight_lines_straight_to_their_ends():
    y = 3 - 0.5 * np.arange(40)
    assert np.allclose(smooth(y, 4.0), y)
    assert np.allclose(smooth(np.full(7, 2.5), 3.0), 2.5)


def test_smooth_is_the_weighted_average_inside():
    y = np.random.default_rng(1).normal(size=101)
    weights = np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2)
    assert smooth(y, 2.0)[50] == pytest.approx(weights @ y[44:57] / weights.sum())
    assert np.array_equal(smooth(y, 0), y)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(3, 10))
def test_ticks_are_round_within_and_about_as_many(low, extent, about):
    found = np.array(ticks(low, low + extent, about))
    assert about / 2 - 1 <= len(found) <= 2 * about + 1
    assert (found >= low - 1e-6 * extent).all()
    assert (found <= low + extent * (1 + 1e-6)).all()
    if len(found) > 1:
        step = found[1] - found[0]
        mantissa = step / 10 ** np.floor(np.log10(step) + 1e-9)
        assert np.isclose(mantissa, [1, 2, 5, 10], rtol=1e-3).any()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (1500, "1,500"),
        (45_000, "45k"),
        (2.5e6, "2.5M"),
        (0.0002, "0.0002"),
        (3e-7, "3e-07"),
        (0.1 + 0.2, "0.3"),
        (-20_000, "-20k"),
    ],
)
def test_short(value, text):
    assert short(value) == text


def test_envelope_reaches_every_extreme_of_a_long_line():
    x = np.arange(10_000)
    y = np.sin(x / 50)
    y[[1234, 7777]] = 9, -9
    thin_x, thin_y = envelope(x, y, 100)
    assert len(thin_x) <= 200
    assert (thin_y.max(), thin_y.min()) == (9, -9)
    assert (np.diff(thin_x) > 0).all()
    assert dict(zip(thin_x, thin_y, strict=True))[1234] == 9


def test_bucket_means_keep_the_ends_and_the_mean():
    x, y = np.arange(5000), np.random.default_rng(2).normal(size=5000)
    thin_x, thin_y = bucket_means(x, y, 50)
    assert len(thin_x) == 50
    assert (thin_x[0], thin_x[-1], thin_y[0], thin_y[-1]) == (0, 4999, y[0], y[-1])
    assert thin_y.mean() == pytest.approx(y.mean(), abs=0.05)
    assert np.array_equal(bucket_means(x[:50], y[:50], 50)[1], y[:50])


@given(st.lists(st.floats(0, 100), max_size=12))
def test_spread_moves_labels_apart_in_their_order(places):
    moved = spread(places, 15, 0, 100)
    assert len(moved) == len(places)
    order = np.argsort(places, kind="stable")
    gaps = np.diff(np.array(moved)[order])
    apart = min(15, 100 / max(len(places) - 1, 1))
    assert (gaps >= apart - 1e-6).all()
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in moved)


def test_spread_leaves_labels_that_do_not_collide():
    assert spread([80, 10, 40], 15, 0, 100) == [80, 10, 40]
    assert spread([50, 50], 10, 0, 100) == [45, 55]
