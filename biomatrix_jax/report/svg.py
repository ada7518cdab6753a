"""The pieces that every drawing here is made of, and a drawing as a file of its own."""

import re
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup, escape

FOLDER = Path(__file__).parent
CHARACTER = 7.7  # width of one at the labels' font size, pixels; the widest fonts' average
MARGIN = 20  # around a drawing that stands alone, pixels
LINE = 15  # height of a label, pixels


def text(x: float, y: float, content: str, kind: str, anchor: str) -> Markup:
    return Markup('<text class="{}" text-anchor="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(
        kind, anchor, x, y, content
    )


def svg(width: int, height: int, title: str, parts: Sequence[Markup]) -> Markup:
    """A drawing for a page, which has the colors and the width."""
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        width, height, escape(title)
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def standalone(drawing: Markup) -> str:
    """The same as the text of an .svg file: with colors, fonts, a ground and a size of its own."""
    style = "".join((FOLDER / name).read_text("utf-8") for name in ("colors.css", "chart.css"))
    head, rest = str(drawing).split(">", 1)
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', head).groups())
    width, height = width + 2 * MARGIN, height + 2 * MARGIN
    box = f'viewBox="{-MARGIN} {-MARGIN} {width} {height}"'
    head = re.sub(r'viewBox="[^"]*"', box, head)
    size = f' xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    place = f'x="{-MARGIN}" y="{-MARGIN}" width="{width}" height="{height}"'
    ground = f'<rect {place} style="fill:var(--paper)"/>'
    return f"{head}{size}><style>{style}</style>{ground}{rest}\n"
