"""The grid of a sweep: overrides with a list where a value goes are its axes.

A point is nothing but a list of overrides, so that whatever `config.load` takes can be swept, and a
point's overrides can be pasted behind any command.
"""

import dataclasses
import itertools
import json
import math
import typing
from collections.abc import Sequence
from typing import Any

from biomatrix_jax.config import RunConfig, parse_yaml
from biomatrix_jax.errors import BadInput

MOST = 10_000  # points; more is a slip of the pen


@dataclasses.dataclass(frozen=True)
class Axis:
    """A key of the configuration and the values it takes in turn."""

    key: str
    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Point:
    """One choice of a value for each axis: (key, value) pairs in the order of the axes."""

    settings: tuple[tuple[str, Any], ...]

    @property
    def overrides(self) -> list[str]:
        return [f"{key}={spell(value)}" for key, value in self.settings]


def split(overrides: Sequence[str]) -> tuple[list[str], list[Axis]]:
    """Overrides that hold for every point, and the axes among them, in order.

    An axis is an override whose value is a list where the field takes none, a list of lists where
    it does: `compute.remat=[full, minimal]`, `mesh=[{fsdp: 8}, {fsdp: 4, tensor: 2}]`. What is no
    override of a known key stays as it is, for `config.load` to refuse.

    Raises:
      BadInput: an axis without values, or given twice.
    """
    fixed, axes = [], []
    for override in overrides:
        key, _, text = override.partition("=")
        value = parse_yaml(text, f"override {override!r}")
        if not _is_axis(key.split("."), value):
            fixed.append(override)
            continue
        if any(axis.key == key for axis in axes):
            raise BadInput(f"{key} is swept twice: give all its values in one list")
        axes.append(Axis(key, _distinct(value)))
    return fixed, axes


def points(axes: Sequence[Axis]) -> list[Point]:
    """Every combination, the last axis running fastest.

    Raises:
      BadInput: there are more than `MOST`.
    """
    size = math.prod(len(axis.values) for axis in axes)
    if size > MOST:
        raise BadInput(f"the sweep has {size:,} points, the most is {MOST:,}: give shorter lists")
    choices = ([(axis.key, value) for value in axis.values] for axis in axes)
    return [Point(chosen) for chosen in itertools.product(*choices)]


def spell(value: Any) -> str:
    """A plain value as YAML in one line, quotes only where they are needed."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{spell(k)}: {spell(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(spell, value))}]"
    if isinstance(value, str) and value.replace("_", "").isalnum() and _reads_back(value):
        return value
    return json.dumps(value)


def _reads_back(text: str) -> bool:
    return parse_yaml(text, text) == text


def _is_axis(keys: list[str], value: Any) -> bool:
    if not isinstance(value, list):
        return False
    kind: Any = RunConfig
    for key in keys:
        kind = _below(kind, key)
        if kind is None:
            return False
    if typing.get_origin(kind) in (list, tuple):
        return bool(value) and all(isinstance(one, list) for one in value)
    if not value:
        raise BadInput(f"{'.'.join(keys)}: no values to sweep over in []")
    return True


def _below(kind: Any, key: str) -> Any:
    """The type of what `key` names inside a value of type `kind`; None where it has no such key."""
    if dataclasses.is_dataclass(kind):
        return typing.get_type_hints(kind).get(key)
    if typing.get_origin(kind) is dict:
        return typing.get_args(kind)[1]
    return None


def _distinct(values: list) -> tuple[Any, ...]:
    """Without repetitions: 1 and 1.0 are two, as their text is."""
    return tuple({spell(value): value for value in values}.values())
