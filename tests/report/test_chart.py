import re

import numpy as np
import pytest

from biomatrix_jax.report.chart import Series, line_chart


def draw(*series, **options):
    settings = {"width": 400, "height": 240, "x_label": "step", "y_label": "loss"} | options
    return str(line_chart(series, **settings))


def points(svg, kind):
    """Pixel coordinates [n, 2] of each path of a class."""
    paths = re.findall(rf'<path class="{kind}"[^>]* d="M([^"]*)"', svg)
    return [np.array([p.split(" ") for p in re.split("[LV]", path)], float) for path in paths]


def test_a_line_goes_through_its_values_in_pixels():
    svg = draw(Series("a", [0, 50, 100], [0, 8, 2], "s1"))
    [line] = points(svg, "line")
    x, y = line.T
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.15)
    # y grows downwards: 8 is 4 times as far above the base as 2.
    assert (y[0] - y[1]) == pytest.approx(4 * (y[0] - y[2]), abs=0.5)
    assert 'style="stroke:var(--s1)"' in svg
    assert (line >= 0).all()
    assert (line <= (400, 240)).all()


def test_the_axes_show_round_numbers_and_their_names():
    svg = draw(Series("a", [1, 400], [1.3, 8.1], "s1"))
    shown = re.findall(r">([^<]+)</text>", svg)
    assert {"0", "2", "4", "6", "8", "100", "200", "300", "400", "loss", "step"} == set(shown)


def test_smoothing_adds_a_faint_line_through_every_value():
    y = np.random.default_rng(0).normal(size=100) + 5
    svg = draw(Series("a", range(100), y, "s1"), smoothing=0.05)
    [raw], [line] = points(svg, "raw"), points(svg, "line")
    assert np.std(line[:, 1]) < 0.5 * np.std(raw[:, 1])
    assert not points(draw(Series("a", range(100), y, "s1")), "raw")


def test_values_that_are_no_numbers_are_left_out():
    svg = draw(Series("a", [1, 2, 3, 4], [3.0, float("nan"), float("inf"), 1.0], "s1"))
    [line] = points(svg, "line")
    assert len(line) == 2
    assert "nan" not in svg
    assert "inf" not in svg


@pytest.mark.parametrize("y", [[], [2.0], [2.0, 2.0], [0.0, 0.0], [float("nan")]])
def test_lines_without_extent_can_be_drawn(y):
    svg = draw(Series("a", range(len(y)), y, "s1"), labelled=True, smoothing=0.1)
    assert svg.endswith("</svg>")
    assert "nan" not in svg


def test_names_stand_at_the_ends_of_their_lines_apart_and_escaped():
    svg = draw(
        Series("<b>", [0, 1], [5, 1], "s1"), Series("c", [0, 1], [5, 1.01], "s2"), labelled=True
    )
    names = re.findall(r'<text class="name"[^>]* y="([\d.]+)">([^<]*)</text>', svg)
    assert [name for _, name in names] == ["&lt;b&gt;", "c"]
    (lower, _), (upper, _) = names
    assert float(lower) - float(upper) >= 14


def test_each_value_can_be_a_dot_on_its_line():
    series = Series("a", [1, 2, 4], [3.0, 1.0, 2.0], "s1")
    [line] = points(draw(series), "line")
    dots = re.findall(r'<circle class="dot" cx="([\d.]+)" cy="([\d.]+)"', draw(series, dotted=True))
    assert np.allclose(np.array(dots, float), line)
    assert "circle" not in draw(series)


def test_a_limit_is_within_the_picture_where_no_line_reaches_it():
    svg = draw(Series("a", [0, 10], [1, 2], "s1"), limit=("<all>", 8.0))
    [(y, _)] = re.findall(r'class="limit"[^>]* d="M[\d.]+ ([\d.]+)H([\d.]+)"', svg)
    [line] = points(svg, "line")
    base = float(re.findall(r'class="axis" d="M50.0 ([\d.]+)H', svg)[0])
    assert (base - float(y)) == pytest.approx(4 * (base - line[1, 1]), abs=0.5)
    assert "&lt;all&gt;" in svg
