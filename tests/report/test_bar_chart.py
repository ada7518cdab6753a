import re
from xml.etree import ElementTree

import numpy as np
import pytest

from biomatrix_jax.report.bar_chart import PartedBar, bar_chart, bar_chart_height
from biomatrix_jax.report.svg import standalone


def draw(*bars, colors=("s1", "s2"), width=600):
    return bar_chart(bars, colors, width=width, x_label="seconds", title="Time")


def rectangles(svg):
    found = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"[^>]*--(s\d)', str(svg))
    return [(float(x), float(y), float(w), color) for x, y, w, color in found]


def test_parts_lie_end_to_end_and_are_as_long_as_they_amount_to():
    svg = draw(PartedBar("a", (3, 1)), PartedBar("b", (1, 0.5)))
    (x, y, w, color), (x2, _, w2, color2), (x3, y3, w3, _), (_, _, w4, _) = rectangles(svg)
    assert (color, color2) == ("s1", "s2")
    assert x2 == pytest.approx(x + w, abs=0.1)
    assert np.allclose([w, w2, w3, w4], np.array([3, 1, 1, 0.5]) * w / 3, atol=0.2)
    assert x3 == x
    assert y3 > y  # in the order given, downwards


def test_names_and_notes_are_escaped_and_inside():
    svg = str(draw(PartedBar("<mesh>", (2, 0), "2 & more")))
    assert "&lt;mesh&gt;" in svg
    assert "2 &amp; more" in svg
    x, _, w, _ = rectangles(svg)[0]
    assert x + w < 600 - 8 * len("2 & more") * 0.8


def test_no_bars_and_bars_of_nothing_can_be_drawn():
    assert str(draw()).endswith("</svg>")
    assert "nan" not in str(draw(PartedBar("a", (0, 0))))


def test_a_drawing_stands_alone_with_its_colors_and_size():
    height = bar_chart_height(1)
    text = standalone(draw(PartedBar("a", (1, 1))), 600, height)
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == ("600", str(height))
    style = root.find("{http://www.w3.org/2000/svg}style").text
    for color in re.findall(r"var\((--\w+)\)", text):
        assert f"{color}:" in style
