"""Values as tables write them: a number, or a bound of one such as `>10000`."""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from biomatrix_jax.errors import BadInput
from data_pipeline.records import Property

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RELATION = r"<=|>=|[<>~=]"
_VALUE = re.compile(rf"({RELATION})?\s*({NUMBER})")


class Cell(NamedTuple):
    """A field of a table: its column, what it says, and the name and unit of a property."""

    column: str
    text: str
    name: str
    unit: str = ""


def properties(cells: Iterable[Cell]) -> tuple[tuple[Property, ...], list[str]]:
    """The properties that fields give, and what was lost: reasons for `Tally.lose`.

    Empty fields give nothing. At most is written `<` and at least `>`: bounds in either case.
    """
    found, lost = [], []
    for cell in cells:
        if not cell.text.strip():
            continue
        if value := _VALUE.fullmatch(cell.text.strip()):
            try:
                found.append(measured(cell.name, value[1] or "=", value[2], cell.unit))
                continue
            except BadInput:  # too large for a float
                pass
        lost.append(f"{cell.column}: not a number")
    return tuple(found), lost


def measured(name: str, relation: str, value: str, unit: str = "") -> Property:
    """A property from a `RELATION` and a `NUMBER`; whole numbers stay whole.

    Raises:
      BadInput: the number is too large for a float.
    """
    number = float(value)
    if not math.isfinite(number):
        raise BadInput("not a number")
    whole = value.lstrip("+-").isdecimal()
    return Property(name, int(value) if whole else number, unit, relation[0])
