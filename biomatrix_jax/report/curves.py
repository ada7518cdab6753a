"""The arithmetic of a chart: averages, fewer points, round ticks, labels that do not collide."""

import math
from collections.abc import Sequence

import numpy as np


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
    rounded = float(f"{value:.4g}")
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(rounded) >= size:
            scale = 1e3 if letter == "k" else size
            return f"{rounded / scale:,.4g}{letter}"
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
