"""Line charts as inline SVG: a faint line through every value, a strong one through their average.

Colors are CSS variables of the page (`--ink`, `--s0` to `--s6`), so that a chart follows light and
dark and goes without a drawing library.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from biomatrix_jax.report.curves import bucket_means, envelope, short, smooth, spread, ticks
from biomatrix_jax.report.svg import CHARACTER, LINE, svg, text

POINTS = 700  # the most buckets of a line; a screen shows no more


@dataclass(frozen=True)
class Series:
    """One line. `color` names a CSS variable without its dashes, "s1" say."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: str


@dataclass(frozen=True)
class _Frame:
    """Data coordinates to pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float
    right: float
    top: float
    bottom: float

    def px(self, x):
        return self.left + (np.asarray(x) - self.x[0]) / (self.x[1] - self.x[0]) * (
            self.right - self.left
        )

    def py(self, y):
        return self.bottom - (np.asarray(y) - self.y[0]) / (self.y[1] - self.y[0]) * (
            self.bottom - self.top
        )


def line_chart(
    series: Sequence[Series],
    *,
    width: int,
    height: int,
    x_label: str,
    y_label: str,
    labelled: bool = False,
    smoothing: float = 0,
    dotted: bool = False,
    limit: tuple[str, float] | None = None,
) -> Markup:
    """Draws lines over common axes.

    Args:
      series: values that are not finite are left out; x ascends.
      width, height: of the drawing's own pixels; on the page it scales to the width it gets.
      labelled: whether each line has its name at its right end.
      smoothing: draws the values faint and a strong line through them, `smooth` with a sigma of
        this part of each line's values. 0 draws the values alone.
      dotted: whether each value is a dot on its line; for lines of few.
      limit: a name and a value of y, which a dashed line across the chart marks.
    """
    series = [_finite(s) for s in series]
    series = [s for s in series if len(s.x)]
    if not series:
        return svg(width, height, y_label, [])
    averages = [smooth(s.y, smoothing * len(s.y)) for s in series]
    right = max((len(s.name) for s in series), default=0) * CHARACTER + 18 if labelled else 14
    heights = np.concatenate([s.y for s in series] + ([[limit[1]]] if limit else []))
    frame = _Frame(
        x=_wide(min(s.x[0] for s in series), max(s.x[-1] for s in series)),
        y=_range(np.min(heights), np.max(heights)),
        left=50,
        right=width - right,
        top=30 if y_label else 10,
        bottom=height - 40,
    )
    parts = _axes(frame, x_label, y_label)
    if smoothing:
        for s in series:
            parts.append(_line(frame, *envelope(s.x, s.y, POINTS), s.color, "raw"))
    for s, average in zip(series, averages, strict=True):
        parts.append(_line(frame, *bucket_means(s.x, average, POINTS), s.color, "line"))
    if dotted:
        parts += [dot for s in series for dot in _dots(frame, s)]
    if limit:
        parts += _limit(frame, *limit)
    if labelled:
        parts += _labels(frame, series, averages)
    return svg(width, height, f"{y_label} over {x_label}", parts)


def _finite(s: Series) -> Series:
    x, y = np.asarray(s.x, float), np.asarray(s.y, float)
    kept = np.isfinite(y)
    return Series(s.name, x[kept], y[kept], s.color)


def _wide(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _range(low: float, high: float) -> tuple[float, float]:
    """The values' own range with a little air; from 0 where that is not far away."""
    low, high = _wide(float(low), float(high))
    if 0 <= low < 0.6 * high:
        return 0.0, high * 1.03
    air = 0.05 * (high - low)
    return low - air, high + air


def _axes(frame: _Frame, x_label: str, y_label: str) -> list[Markup]:
    parts = []
    for value in ticks(*frame.y, about=max(3, int((frame.bottom - frame.top) / 55))):
        y = float(frame.py(value))
        parts.append(
            Markup('<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
                frame.left, y, frame.right
            )
        )
        parts.append(text(frame.left - 8, y + 4, short(value), "tick", "end"))
    for value in ticks(*frame.x, about=max(3, int((frame.right - frame.left) / 110))):
        x = float(frame.px(value))
        parts.append(Markup('<path class="axis" d="M{:.1f} {:.1f}v5"/>').format(x, frame.bottom))
        parts.append(text(x, frame.bottom + 19, short(value), "tick", "middle"))
    parts.append(
        Markup('<path class="axis" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
            frame.left, frame.bottom, frame.right
        )
    )
    parts.append(text(0, 12, y_label, "label", "start"))
    parts.append(text(frame.right, frame.bottom + 35, x_label, "label", "end"))
    return parts


def _line(frame: _Frame, x, y, color: str, kind: str) -> Markup:
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(frame.px(x), frame.py(y), strict=True)]
    path = "M" + "L".join(points) + ("h.1" if len(points) == 1 else "")  # one value: a dot
    return Markup('<path class="{}" style="stroke:var(--{})" d="{}"/>').format(kind, color, path)


def _dots(frame: _Frame, s: Series) -> list[Markup]:
    circle = Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="4" style="fill:var(--{})"/>')
    places = zip(frame.px(s.x), frame.py(s.y), strict=True)
    return [circle.format(x, y, s.color) for x, y in places]


def _limit(frame: _Frame, name: str, value: float) -> list[Markup]:
    y = float(frame.py(value))
    path = '<path class="limit" style="stroke:var(--s0)" d="M{:.1f} {:.1f}H{:.1f}"/>'
    line = Markup(path).format(frame.left, y, frame.right)
    return [line, text(frame.left + 6, y - 6, name, "tick", "start")]


def _labels(frame: _Frame, series: Sequence[Series], averages) -> list[Markup]:
    ends = [float(frame.py(average[-1])) for average in averages]
    places = spread(ends, LINE, frame.top, frame.bottom - 4)
    parts = []
    for s, end, place in zip(series, ends, places, strict=True):
        x = float(frame.px(s.x[-1]))
        parts.append(
            Markup(
                '<path class="lead" style="stroke:var(--{})" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>'
            ).format(s.color, x + 2, end, frame.right + 9, place)
        )
        parts.append(
            Markup(
                '<text class="name" style="fill:var(--{})" x="{:.1f}" y="{:.1f}">{}</text>'
            ).format(s.color, frame.right + 12, place + 4, s.name)
        )
    return parts
