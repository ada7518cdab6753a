import re
from xml.etree import ElementTree

import numpy as np
import pytest

from biomatrix_jax.report.bar_chart import THICK, PartedBar, bar_chart
from biomatrix_jax.report.svg import standalone

TWO = (("gather", "s1"), ("<reduce>", "s2"))


def draw(*bars, parts=TWO, width=600):
    return bar_chart(bars, parts, width=width, x_label="seconds", title="Time")


def rectangles(svg):
    """Of the bars: x, y, width, color."""
    pattern = rf'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="{THICK}"[^>]*--(s\d)'
    return [(float(x), float(y), float(w), c) for x, y, w, c in re.findall(pattern, str(svg))]


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


def test_several_parts_have_a_legend_in_as_many_lines_as_it_takes():
    def places(width):
        svg = str(draw(PartedBar("a", (1, 1)), width=width))
        return re.findall(r'<text class="label"[^>]* y="([\d.]+)">(gather|&lt;reduce&gt;)', svg)

    [(y1, first), (y2, second)] = places(600)
    assert (first, second) == ("gather", "&lt;reduce&gt;")
    assert y1 == y2
    [(y1, _), (y2, _)] = places(150)
    assert float(y2) > float(y1)
    assert "gather" not in draw(PartedBar("a", (1,)), parts=TWO[:1])


def test_a_drawing_stands_alone_with_its_colors_and_size():
    drawing = draw(PartedBar("a", (1, 1)))
    text = standalone(drawing)
    height = re.search(r'viewBox="0 0 600 (\d+)"', drawing)[1]
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (int(root.get("width")), int(root.get("height"))) == (640, int(height) + 40)
    assert root.get("viewBox") == f"-20 -20 640 {int(height) + 40}"
    style = root.find("{http://www.w3.org/2000/svg}style").text
    for color in re.findall(r"var\((--\w+)\)", text):
        assert f"{color}:" in style
