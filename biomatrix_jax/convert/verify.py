"""Compares two models tensor by tensor: Hugging Face directories or checkpoints, in any pairing."""

import dataclasses
import json
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from biomatrix_jax.convert import rules
from biomatrix_jax.convert.source import Source, open_source, same_bits
from biomatrix_jax.errors import BadInput

LISTED = 20  # tensors that the text names; the JSON names all


@dataclasses.dataclass(frozen=True)
class Difference:
    """A tensor, by its Hugging Face name, that is not the same on both sides."""

    name: str
    problem: str
    max_abs: float | None = None  # largest absolute difference, where values were compared
    max_rel: float | None = None  # largest difference relative to A's value


@dataclasses.dataclass(frozen=True)
class Report:
    """What `verify` found.

    Attributes:
      tol: None compared dtypes and bits; a number compared values.
      tensors: how many were compared.
      config: architecture fields that differ, each [A's, B's].
      max_abs: the largest absolute difference of any tensor; None where bits were compared.
      notes: what was noticed while reading.
    """

    a: str
    b: str
    tol: float | None
    tensors: int
    config: dict[str, list[Any]]
    differences: list[Difference]
    max_abs: float | None
    notes: list[str]

    @property
    def equal(self) -> bool:
        return not self.config and not self.differences

    def text(self) -> str:
        """For reading: a line where all is equal, else a line for each difference."""
        kind = "bit for bit" if self.tol is None else f"within {self.tol:g}"
        lines = list(self.notes)
        if self.equal:
            most = "" if self.tol is None else f", largest difference {self.max_abs:.3g}"
            return "\n".join([*lines, f"equal {kind}: {self.tensors} tensors{most}"])
        lines.append(f"not equal {kind}: A is {self.a}, B is {self.b}")
        lines += [f"  config {key}: {a} in A, {b} in B" for key, (a, b) in self.config.items()]
        lines += [f"  {d.name}: {d.problem}" for d in self.differences[:LISTED]]
        if len(self.differences) > LISTED:
            lines.append(f"  and {len(self.differences) - LISTED} more tensors")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Differences that are not finite are null: JSON has no infinity."""
        content = {"equal": self.equal, **dataclasses.asdict(self)}
        for entry in (content, *content["differences"]):
            for key in ("max_abs", "max_rel"):
                if not math.isfinite(entry.get(key) or 0.0):
                    entry[key] = None
        return json.dumps(content, indent=1, allow_nan=False)


def verify(a: str | os.PathLike, b: str | os.PathLike, tol: float | None = None) -> Report:
    """Compares the architectures and all tensors, one parameter of each side in memory at a time.

    Args:
      tol: None: dtypes and bits must agree. Else the largest allowed absolute difference, whatever
        the dtypes; NaN agrees with NaN.

    Raises:
      BadInput: one of them cannot be read, or `tol` is no finite number of 0 or more.
    """
    if tol is not None and not 0 <= tol < math.inf:
        raise BadInput(f"tolerance {tol}: give a finite number, 0 or more")
    one, two = open_source(a), open_source(b)
    ours, theirs = dataclasses.asdict(one.config), dataclasses.asdict(two.config)
    config = {key: [ours[key], theirs[key]] for key in ours if ours[key] != theirs[key]}
    differences = list(_other_tensors(one, two))
    count, largest = 0, 0.0
    for name, x, y in _shared_tensors(one, two):
        count += 1
        if tol is None:
            if x.dtype != y.dtype:
                differences.append(Difference(name, f"{x.dtype} in A, {y.dtype} in B"))
            elif not same_bits(x, y):
                found = _distance(name, x, y)
                problem = f"bits differ; {found.problem}"
                differences.append(dataclasses.replace(found, problem=problem))
            continue
        distance = _distance(name, x, y)
        largest = max(largest, distance.max_abs)
        if distance.max_abs > tol:
            differences.append(distance)
    most = None if tol is None else largest
    notes = one.notes + two.notes
    return Report(str(a), str(b), tol, count, config, differences, most, notes)


def _other_tensors(one: Source, two: Source) -> Iterator[Difference]:
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


def _shared_tensors(one: Source, two: Source) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    groups, others = rules.tensors(one.config), rules.tensors(two.config)
    shared = [path for path in groups if groups[path] == others.get(path)]
    pairs = zip(one.parameters(shared), two.parameters(shared), strict=True)
    for path, (left, right) in zip(shared, pairs, strict=True):
        parts = (rules.split(one.config, path, side) for side in (left, right))
        for (name, x), (_, y) in zip(*parts, strict=True):
            yield name, x, y


def _distance(name: str, x: np.ndarray, y: np.ndarray) -> Difference:
    x, y = x.astype(np.float32), y.astype(np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Equal infinities, and NaN in both, are no distance; NaN in one is an infinite one.
        same = (x == y) | (np.isnan(x) & np.isnan(y))
        absolute = np.where(same, 0, np.nan_to_num(np.abs(x - y), nan=np.inf, posinf=np.inf))
        relative = np.where(same, 0, absolute / np.abs(x))
    most = float(absolute.max(initial=0)), float(relative.max(initial=0))
    count = int((~same).sum())
    problem = f"{count} of {x.size} values differ, by {most[0]:.3g} at most"
    return Difference(name, problem, *most)
