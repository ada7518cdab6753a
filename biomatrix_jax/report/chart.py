"""Line charts as inline SVG: a faint line through every value, a strong one through their average.

Colors are CSS variables of the page (`--ink`, `--s0` to `--s6`), so that a chart follows light and
dark and goes without a drawing library.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

CHARACTER = 7.7  # width of one at the labels' font size, pixels; the widest fonts' average
LINE = 15  # height of a label, pixels
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
) -> Markup:
    """Draws lines over common axes.

    Args:
      series: values that are not finite are left out; x ascends.
      width, height: of the drawing's own pixels; on the page it scales to the width it gets.
      labelled: whether each line has its name at its right end.
      smoothing: draws the values faint and a strong line through them, `smooth` with a sigma of
        this part of each line's values. 0 draws the values alone.
    """
    series = [_finite(s) for s in series]
    series = [s for s in series if len(s.x)]
    if not series:
        return _svg(width, height, y_label, [])
    averages = [smooth(s.y, smoothing * len(s.y)) for s in series]
    right = max((len(s.name) for s in series), default=0) * CHARACTER + 18 if labelled else 14
    frame = _Frame(
        x=_wide(min(s.x[0] for s in series), max(s.x[-1] for s in series)),
        y=_range(min(np.min(s.y) for s in series), max(np.max(s.y) for s in series)),
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
    if labelled:
        parts += _labels(frame, series, averages)
    return _svg(width, height, f"{y_label} over {x_label}", parts)


def smooth(y: np.ndarray, sigma: float) -> np.ndarray:
    """[n] -> [n]: a straight line fitted around each value with Gaussian weights.

    Away from the ends that is the weighted average; at the ends it follows a slope where an average
    would flatten it (Fan 1992, local linear regression).

    Args:
      sigma: standard deviation of the weights, in values; 0 leaves them as they are.
    """
    y = np.asarray(y, float)
    reach = min(math.ceil(3 * sigma), len(y) - 1)
    if reach < 1:
        return y
    offset = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offset / sigma) ** 2)

    def around(values, moment):
        # Convolution turns the weights around, and so the sign of the offsets.
        kernel = weights * (-offset) ** moment
        return np.convolve(values, kernel)[reach : reach + len(y)]

    ones = np.ones(len(y))
    s0, s1, s2 = (around(ones, moment) for moment in range(3))
    return (s2 * around(y, 0) - s1 * around(y, 1)) / (s0 * s2 - s1**2)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart), about so many, within [low, high]."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(math.log(s / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def short(value: float) -> str:
    """A number as an axis shows it: 0.25, 1,200, 45k, 1.5M, 2e-04."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scale = 1e3 if letter == "k" else size
            return f"{value / scale:,.4g}{letter}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if value and abs(value) < 1e-3:
        return f"{value:.2g}"
    return f"{round(value, 10):g}"


def envelope(x: np.ndarray, y: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """A line of at most 2 `most` points that reaches every extreme: each bucket's least and largest
    value, in order."""
    if len(x) <= 2 * most:
        return x, y
    chosen = []
    for bucket in np.array_split(np.arange(len(x)), most):
        chosen += sorted({bucket[np.argmin(y[bucket])], bucket[np.argmax(y[bucket])]})
    return x[chosen], y[chosen]


def bucket_means(x: np.ndarray, y: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """A line of at most `most` points: the mean of each bucket; the ends stay where they are."""
    if len(x) <= most:
        return x, y
    inner = np.array_split(np.arange(1, len(x) - 1), most - 2)
    means = np.array([(x[bucket].mean(), y[bucket].mean()) for bucket in inner]).T
    return np.r_[x[0], means[0], x[-1]], np.r_[y[0], means[1], y[-1]]


def spread(places: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Moves places apart to at least `distance`, as little as it takes, within [low, high].

    Keeps their order. Where they cannot all fit, they overlap evenly.
    """
    if not places:
        return []
    order = sorted(range(len(places)), key=lambda i: places[i])
    distance = min(distance, (high - low) / max(len(places) - 1, 1))
    # Neighbours that collide become one block, centred on the mean of where its members want to be.
    blocks: list[tuple[float, int]] = []  # (centre wanted, members)
    for i in order:
        blocks.append((places[i], 1))
        while len(blocks) > 1:
            (a, n), (b, m) = blocks[-2:]
            if _clamp(b, m, distance, low, high) - _clamp(a, n, distance, low, high) >= (
                distance * (n + m) / 2 - 1e-9
            ):
                break
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    moved = [0.0] * len(places)
    members = iter(order)
    for centre, count in blocks:
        first = _clamp(centre, count, distance, low, high) - distance * (count - 1) / 2
        for k in range(count):
            moved[next(members)] = first + k * distance
    return moved


def _clamp(centre: float, count: int, distance: float, low: float, high: float) -> float:
    half = distance * (count - 1) / 2
    return min(max(centre, low + half), high - half)


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
        parts.append(_text(frame.left - 8, y + 4, short(value), "tick", "end"))
    for value in ticks(*frame.x, about=max(3, int((frame.right - frame.left) / 110))):
        x = float(frame.px(value))
        parts.append(Markup('<path class="axis" d="M{:.1f} {:.1f}v5"/>').format(x, frame.bottom))
        parts.append(_text(x, frame.bottom + 19, short(value), "tick", "middle"))
    parts.append(
        Markup('<path class="axis" d="M{:.1f} {:.1f}H{:.1f}"/>').format(
            frame.left, frame.bottom, frame.right
        )
    )
    parts.append(_text(0, 12, y_label, "label", "start"))
    parts.append(_text(frame.right, frame.bottom + 35, x_label, "label", "end"))
    return parts


def _line(frame: _Frame, x, y, color: str, kind: str) -> Markup:
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(frame.px(x), frame.py(y), strict=True)]
    path = "M" + "L".join(points) + ("h.1" if len(points) == 1 else "")  # one value: a dot
    return Markup('<path class="{}" style="stroke:var(--{})" d="{}"/>').format(kind, color, path)


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


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> Markup:
    return Markup('<text class="{}" text-anchor="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(
        kind, anchor, x, y, text
    )


def _svg(width: int, height: int, title: str, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        width, height, escape(title)
    )
    return head + Markup("").join(parts) + Markup("</svg>")
