import pytest

from biomatrix_jax.report.numbers import count, duration, percent


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (999_600, "1 M"),
        (999_999_999, "1 G"),
        (0, "0"),
        (950.4, "950"),
        (9999, "9,999"),
        (12345, "12.3 k"),
        (3.25e6, "3.25 M"),
        (1e9, "1 G"),
    ],
)
def test_count(n, text):
    assert count(n) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "-"),
        (0, 7, "0%"),
        (7, 7, "100%"),
        (1, 8, "12.5%"),
        (1, 100_000, "0.1%"),  # some is not none
        (99_999, 100_000, "99.9%"),  # and not quite all not all
    ],
)
def test_percent(part, whole, text):
    assert percent(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
