"""Values as tables write them: a number, or a bound of one such as `>10000`."""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from data_pipeline.records import Property

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RELATION = r"<=|>=|[<>~=]"
_VALUE = re.compile(rf"({RELATION})?\s*({NUMBER})")


class Cell(NamedTuple):
    """A field of a table: its column, its value (a text, or what Parquet has), and the name and
    unit of a property."""

    column: str
    value: str | float | None
    name: str
    unit: str = ""


def properties(cells: Iterable[Cell]) -> tuple[tuple[Property, ...], list[str]]:
    """The properties that fields give, and what was lost: reasons for `Tally.lose`.

    Fields that are empty, None or NaN give nothing. At most is written `<` and at least `>`: bounds
    in either case.
    """
    found, lost = [], []
    for cell in cells:
        text = "" if cell.value is None else str(cell.value).strip()
        if text in ("", "nan"):
            continue
        value = _VALUE.fullmatch(text)
        made = value and measured(cell.name, value[1] or "=", value[2], cell.unit)
        if made:
            found.append(made)
        else:
            lost.append(f"{cell.column}: not a number")
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
