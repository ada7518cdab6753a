"""Bars beside each other as inline SVG, each perhaps in parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from biomatrix_jax.report.curves import short, ticks
from biomatrix_jax.report.svg import CHARACTER, svg, text

STEP = 30  # from bar to bar, pixels
THICK = 17


@dataclass(frozen=True)
class PartedBar:
    """One bar: its name to the left, its parts end to end, and `note` behind them."""

    name: str
    parts: Sequence[float]
    note: str = ""


def bar_chart_height(bars: int) -> int:
    """Of a chart of so many bars, pixels."""
    return 30 + STEP * bars + 44


def bar_chart(
    bars: Sequence[PartedBar], colors: Sequence[str], *, width: int, x_label: str, title: str
) -> Markup:
    """Draws horizontal bars from 0 on, in the order given.

    Args:
      bars: amounts of 0 and more, all with as many parts.
      colors: of the parts, CSS variables without their dashes.
      title: what a reader that cannot see the picture is told.
    """
    height = bar_chart_height(len(bars))
    if not bars:
        return svg(width, height, title, [])
    left = max(len(bar.name) for bar in bars) * CHARACTER * 0.9 + 10
    right = width - max(len(bar.note) for bar in bars) * CHARACTER * 0.9 - 14
    largest = max(sum(bar.parts) for bar in bars) or 1.0
    bottom = height - 44

    def px(amount: float) -> float:
        return left + amount / largest * (right - left)

    parts = []
    for value in ticks(0, largest, about=max(3, int((right - left) / 110))):
        path = '<path class="grid" d="M{:.1f} {:.1f}V{:.1f}"/>'
        parts.append(Markup(path).format(px(value), 12, bottom))
        parts.append(text(px(value), bottom + 17, short(value), "tick", "middle"))
    for row, bar in enumerate(bars):
        middle = 26 + STEP * row
        parts.append(text(left - 10, middle + 4, bar.name, "tick", "end"))
        start = 0.0
        for amount, color in zip(bar.parts, colors, strict=True):
            parts.append(_rectangle(px(start), px(start + amount), middle, color))
            start += amount
        parts.append(text(px(start) + 8, middle + 4, bar.note, "tick", "start"))
    parts.append(text(right, bottom + 37, x_label, "label", "end"))
    return svg(width, height, title, parts)


def _rectangle(start: float, end: float, middle: float, color: str) -> Markup:
    return Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" style="fill:var(--{})"/>'
    ).format(start, middle - THICK / 2, max(end - start, 0), THICK, color)
