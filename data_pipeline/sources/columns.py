"""Numbers of a table -> properties, with the names and units that they have in sentences."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from data_pipeline.records import Property
from data_pipeline.sources.tally import Tally


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
        try:
            number = float(value)
            if math.isnan(number):
                continue
            if math.isinf(number) or column.kind(number) != number:
                raise ValueError
        except (TypeError, ValueError):
            tally.lose(f"{column.key}: not a number", identifier)
            continue
        value = column.kind(number)
        found.append(Property(column.name, value, column.unit, decimals=column.decimals))
    return tuple(found)
