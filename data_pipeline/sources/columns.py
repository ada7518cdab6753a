"""Numbers of a table -> properties, with the names and units that they have in sentences."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from data_pipeline.records import Property
from data_pipeline.sources.tally import Tally

NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_NUMBER = re.compile(NUMBER)
_WHOLE = re.compile("[0-9]{1,18}")


@dataclass(frozen=True)
class Column:
    """What a corpus calls `key` (a column, tag or JSON key) and a `Property` calls `name`."""

    key: str
    name: str
    unit: str = ""
    kind: type[int] | type[float] = float
    decimals: int | None = None  # see Property


def numbers(
    row: Mapping[str, Any], columns: Iterable[Column], tally: Tally, identifier: str
) -> tuple[Property, ...]:
    """The numbers that `row` gives, in the order of `columns`.

    A value that is missing, None, blank or NaN is not given. One that is no number, or not a whole
    one where the column wants that, is counted as lost.
    """
    found = []
    for column in columns:
        value = row.get(column.key)
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        number = _number(value)
        if math.isnan(number):
            continue
        if math.isinf(number) or column.kind(number) != number:
            tally.lose(f"{column.key}: not a number", identifier)
            continue
        value = column.kind(number)
        found.append(Property(column.name, value, column.unit, decimals=column.decimals))
    return tuple(found)


def _number(value: Any) -> float:
    """Infinite where it is none: Python takes `1_000` and True for numbers, and no corpus does."""
    if isinstance(value, str):
        value = value.strip()
        return float(value) if _NUMBER.fullmatch(value) or value.lower() == "nan" else math.inf
    known = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if known else math.inf
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


def whole(text: str) -> int | None:
    """The number, not negative, that a text is; None where it is none or has over 18 digits."""
    return int(text) if _WHOLE.fullmatch(text) else None
