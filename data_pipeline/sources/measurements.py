"""Measured values as tables write them: a number, or a bound of one such as `>10000`.

`columns.numbers` is for numbers alone, and takes a bound for none.
"""

import math
import re
from collections.abc import Iterable
from typing import Any, Protocol

from data_pipeline.records import Property
from data_pipeline.sources.columns import NUMBER, Column

RELATION = r"<=|>=|[<>~=]"
_VALUE = re.compile(rf"({RELATION})?\s*({NUMBER})")


class Row(Protocol):
    def __getitem__(self, column: str) -> Any:
        """A text, or what Parquet has: a number or None."""


def properties(row: Row, columns: Iterable[Column]) -> tuple[tuple[Property, ...], list[str]]:
    """The properties that a row gives, and what was lost: reasons for `Tally.lose`.

    Fields that are empty, None or NaN give nothing. Whole numbers stay whole. At most is written
    `<` and at least `>`: bounds in either case.
    """
    found, lost = [], []
    for column in columns:
        text = "" if row[column.key] is None else str(row[column.key]).strip()
        if text in ("", "nan"):
            continue
        value = _VALUE.fullmatch(text)
        made = value and measured(column.name, value[1] or "=", value[2], column.unit)
        if made:
            found.append(made)
        else:
            lost.append(f"{column.key}: not a number")
    return tuple(found), lost


def measured(name: str, relation: str, value: str, unit: str = "") -> Property | None:
    """A property from a `RELATION` and a `NUMBER`; whole numbers stay whole.

    None where the number is too large for a float.
    """
    number = float(value)
    if not math.isfinite(number):
        return None
    whole = value.lstrip("+-").isdecimal()
    return Property(name, int(value) if whole else number, unit, relation[0])
