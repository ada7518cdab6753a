"""Compares the tensors of two models block by block, so that no tensor is ever in memory."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from biomatrix_jax.blocks import blocks
from biomatrix_jax.convert import rules
from biomatrix_jax.convert.source import Source
from biomatrix_jax.convert.values import same_bits
from biomatrix_jax.errors import BadInput

_MEASURED = 1 << 18  # values whose distances are computed at a time, in float64


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """Values a and b agree where |a - b| <= tol + rtol |b|, as in `numpy.allclose`.

    NaN agrees with NaN and an infinity with itself; with anything else they never do.

    Raises:
      BadInput: one of them is no finite number of 0 or more.
    """

    tol: float = 0.0
    rtol: float = 0.0

    def __post_init__(self):
        for value in (self.tol, self.rtol):
            if not 0 <= value < math.inf:
                raise BadInput(f"tolerance {value}: give a finite number, 0 or more")


@dataclasses.dataclass(frozen=True)
class Difference:
    """A tensor, by its Hugging Face name, that is not the same on both sides.

    Attributes:
      size, differing: values, and how many of them do not agree; None, as what follows, where no
        values were compared.
      max_abs: the largest |a - b|, infinite where only one of them is NaN or infinite.
      max_rel: the largest |a - b| / |b|.
    """

    name: str
    problem: str
    size: int | None = None
    differing: int | None = None
    max_abs: float | None = None
    max_rel: float | None = None


@dataclasses.dataclass(frozen=True)
class TensorReport:
    """What comparing the tensors found.

    Attributes:
      count: how many both sides have in one shape.
      max_abs, max_rel: the largest of all of them, see `Difference`; what differs in dtype alone,
        where bits had to agree, was not measured.
    """

    count: int
    differences: list[Difference]
    max_abs: float
    max_rel: float


def compare_tensors(one: Source, two: Source, within: Tolerance | None) -> TensorReport:
    """Compares every tensor of A and B.

    Args:
      within: None: dtypes and bits must agree; else values, whatever the dtypes.
    """
    differences = list(_unshared(one, two))
    count, max_abs, max_rel = 0, 0.0, 0.0
    for found in _shared(one, two, within):
        count += 1
        if isinstance(found, Difference):
            differences.append(found)
            continue
        max_abs, max_rel = max(max_abs, found.max_abs), max(max_rel, found.max_rel)
        if found.differing:
            differences.append(found.difference())
    return TensorReport(count, differences, max_abs, max_rel)


def _unshared(one: Source, two: Source) -> Iterator[Difference]:
    """Tensors of one side only, and tensors of another shape."""
    shapes = [
        {t.name: t.shape for group in rules.tensors(side.config).values() for t in group}
        for side in (one, two)
    ]
    for name in dict.fromkeys([*shapes[0], *shapes[1]]):
        a, b = (side.get(name) for side in shapes)
        if a is None or b is None:
            yield Difference(name, "only in A" if b is None else "only in B")
        elif a != b:
            yield Difference(name, f"shape {list(a)} in A, {list(b)} in B")


def _shared(
    one: Source, two: Source, within: Tolerance | None
) -> Iterator["_Distance | Difference"]:
    """What was measured of each tensor that both have in one shape, or why nothing was."""
    groups, others = rules.tensors(one.config), rules.tensors(two.config)
    ours, theirs = one.specs(), two.specs()
    for path, group in groups.items():
        # Layers that one side only has come last; they are for `_unshared`.
        pairs = zip(group, others.get(path, ()), strict=False)
        common = [tensor for tensor, other in pairs if tensor == other]
        if not common:
            continue
        x, y = ours[path].dtype, theirs[path].dtype
        if within is None and x != y:
            yield from (Difference(t.name, f"{x} in A, {y} in B") for t in common)
            continue
        distances = [_Distance(t.name, math.prod(t.shape), within) for t in common]
        stacked = common[0].layer is not None
        shape = (len(common), *common[0].ours) if stacked else common[0].ours
        for index in blocks(shape, max(x.itemsize, y.itemsize)):
            a, b = one.read(path, index), two.read(path, index)
            if a.dtype == b.dtype and same_bits(a, b):
                continue
            parts = (
                zip(distances[index[0]], a, b, strict=True) if stacked else [(distances[0], a, b)]
            )
            for distance, part, other in parts:
                distance.add(part, other)
        yield from distances


@dataclasses.dataclass
class _Distance:
    """What was measured of one tensor so far; fields as in `Difference`."""

    name: str
    size: int
    within: Tolerance | None  # None: bits must agree
    differing: int = 0
    max_abs: float = 0.0
    max_rel: float = 0.0

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Takes in a part of A's tensor and the same part of B's."""
        if x.dtype == y.dtype:  # then only where bits differ is there anything to measure
            bits = np.dtype(f"u{x.dtype.itemsize}")
            other = x.view(bits) != y.view(bits)
            x, y = x[other], y[other]
            if self.within is None:
                self.differing += x.size
        x, y = x.reshape(-1), y.reshape(-1)
        for start in range(0, x.size, _MEASURED):
            run = slice(start, start + _MEASURED)
            self._measure(x[run].astype(np.float64), y[run].astype(np.float64))

    def _measure(self, x: np.ndarray, y: np.ndarray) -> None:
        with np.errstate(invalid="ignore", divide="ignore"):
            same = (x == y) | (np.isnan(x) & np.isnan(y))
            absolute = np.where(same, 0, np.nan_to_num(np.abs(x - y), nan=np.inf, posinf=np.inf))
            # What is infinitely far is so relative to anything.
            relative = np.where(np.isinf(absolute), np.inf, absolute / np.abs(y))
            relative = np.where(same, 0, relative)
        self.max_abs = max(self.max_abs, float(absolute.max(initial=0)))
        self.max_rel = max(self.max_rel, float(relative.max(initial=0)))
        if self.within is not None:
            with np.errstate(invalid="ignore"):
                agree = absolute <= self.within.tol + self.within.rtol * np.abs(y)
            self.differing += int((~same & ~(agree & np.isfinite(absolute))).sum())

    def difference(self) -> Difference:
        problem = (
            f"{self.differing} of {self.size} values differ, by {self.max_abs:.3g} at most, "
            f"relative {self.max_rel:.3g}"
        )
        measured = (self.size, self.differing, self.max_abs, self.max_rel)
        return Difference(self.name, problem, *measured)
