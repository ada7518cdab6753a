"""Bars beside each other as inline SVG, each perhaps in parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from biomatrix_jax.report.curves import short, ticks
from biomatrix_jax.report.svg import CHARACTER, svg, text

STEP = 30  # from bar to bar, pixels
THICK = 17
BELOW = 44  # for the axis
LEGEND_STEP = 22


@dataclass(frozen=True)
class PartedBar:
    """One bar: its name to the left, its parts end to end, and `note` behind them."""

    name: str
    parts: Sequence[float]
    note: str = ""


def bar_chart(
    bars: Sequence[PartedBar],
    parts: Sequence[tuple[str, str]],
    *,
    width: int,
    x_label: str,
    title: str,
) -> Markup:
    """Draws horizontal bars from 0 on, in the order given; as high as they need.

    Args:
      bars: amounts of 0 and more, all with as many parts.
      parts: of each part its name and its color, a CSS variable without its dashes. Where there are
        several, a legend above the bars says so.
      title: what a reader that cannot see the picture is told.
    """
    legend, top = _legend(parts, width) if len(parts) > 1 else ([], 0)
    bottom = top + 12 + STEP * len(bars)
    if not bars:
        return svg(width, bottom + BELOW, title, [])
    left = max(len(bar.name) for bar in bars) * CHARACTER + 10
    right = width - max(len(bar.note) for bar in bars) * CHARACTER - 14
    largest = max(sum(bar.parts) for bar in bars) or 1.0

    def px(amount: float) -> float:
        return left + amount / largest * (right - left)

    drawn = list(legend)
    for value in ticks(0, largest, about=max(3, int((right - left) / 110))):
        path = '<path class="grid" d="M{:.1f} {:.1f}V{:.1f}"/>'
        drawn.append(Markup(path).format(px(value), top + 6, bottom))
        drawn.append(text(px(value), bottom + 17, short(value), "tick", "middle"))
    for row, bar in enumerate(bars):
        middle = top + 6 + STEP * (row + 0.5)
        drawn.append(text(left - 10, middle + 4, bar.name, "tick", "end"))
        start = 0.0
        for amount, (_, color) in zip(bar.parts, parts, strict=True):
            x, end = px(start), px(start + amount)
            drawn.append(_rectangle(x, middle - THICK / 2, end - x, THICK, color))
            start += amount
        drawn.append(text(px(start) + 8, middle + 4, bar.note, "tick", "start"))
    drawn.append(text(right, bottom + 37, x_label, "label", "end"))
    return svg(width, bottom + BELOW, title, drawn)


def _legend(parts: Sequence[tuple[str, str]], width: int) -> tuple[list[Markup], int]:
    """Names beside their colors, in as many lines as it takes, and how high they are."""
    drawn, x, y = [], 0.0, 8
    for name, color in parts:
        needed = 16 + len(name) * CHARACTER + 14
        if x and x + needed > width:
            x, y = 0.0, y + LEGEND_STEP
        drawn.append(_rectangle(x, y - 5, 10, 10, color))
        drawn.append(text(x + 16, y + 4, name, "label", "start"))
        x += needed
    return drawn, y + LEGEND_STEP - 4


def _rectangle(x: float, y: float, width: float, height: float, color: str) -> Markup:
    return Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" style="fill:var(--{})"/>'
    ).format(x, y, max(width, 0), height, color)
