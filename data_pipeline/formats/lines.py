"""Files of lines: plain text, JSON Lines, and tables with a header."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary

Entry = tuple[str, dict | BadInput]  # where it stands, what it is

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # most are in pairs, which spell a character


def read_lines(path: str | Path) -> Iterator[bytes]:
    """The lines of a file, plain or compressed, without their ends; raises as `open_binary`."""
    with open_binary(path) as file:
        for line in file:
            yield line.rstrip(b"\r\n")


def numbered(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """The lines that are not blank, each with where it stands."""
    name = Path(path).name
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            yield f"{name}:{number}", line


def decoded(line: bytes) -> str:
    """Raises BadInput where the bytes are no UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput("not UTF-8") from None


def json_value(content: bytes) -> Any:
    """Raises BadInput: "not UTF-8", "not JSON", or "not Unicode" where half a character is escaped:
    such text can be in memory and nowhere else."""
    text = decoded(content)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # ValueError also for an integer of thousands of digits
        raise BadInput("not JSON") from None
    if _SURROGATE.search(content):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise BadInput("not Unicode (half of a surrogate pair)") from None
    return value


def json_object(content: bytes) -> dict:
    """Raises BadInput as `json_value`, or "not a JSON object"."""
    value = json_value(content)
    if not isinstance(value, dict):
        raise BadInput("not a JSON object")
    return value


def json_objects(path: str | Path) -> Iterator[Entry]:
    """The objects of a file of JSON Lines."""
    for where, line in numbered(path):
        try:
            yield where, json_object(line)
        except BadInput as error:
            yield where, error


def table(path: str | Path, columns: Sequence[str], separator: str = "\t") -> Iterator[Entry]:
    """The rows of a table as {column: text}, all its columns, after a header that names them.

    Args:
      columns: those that the header must have.
      separator: a tab: fields stand as they are, without quotes. A comma: CSV as in RFC 4180, but
        a row is a line, so that a stray quote costs one row and not all that follow.

    Raises:
      BadInput: no header, one without some of `columns`, or one that has a name twice.
    """
    header, rows = split_rows(path, columns, separator)
    if twice := [name for name, count in Counter(header).items() if name and count > 1]:
        raise BadInput(f"{path}: {Counter(header)[twice[0]]} columns are called {twice[0]!r}")
    for where, fields in rows:
        if isinstance(fields, BadInput):
            yield where, fields
        elif len(fields) != len(header):
            yield where, BadInput("not as many fields as the header has")
        else:
            yield where, dict(zip(header, fields, strict=True))


def split_rows(
    path: str | Path, columns: Sequence[str], separator: str = "\t", notice: int = 0
) -> tuple[list[str], Iterator[tuple[str, list[str] | BadInput]]]:
    """The header of a table and the fields of its rows, however many: see `table`.

    For tables whose rows are of different lengths, or whose header has a name more than once.

    Args:
      notice: so many lines of something else may stand before the header.
    """
    lines = numbered(path)
    first = ""
    for _, line in islice(lines, notice + 1):
        header = _header(line, separator)
        if isinstance(header, list):
            if all(name in header for name in columns):
                return header, ((where, _row(line, separator)) for where, line in lines)
            missing = next(name for name in columns if name not in header)
            header = f"no column {missing!r}; the header has: {', '.join(header[:20])}"
        first = first or header
    raise BadInput(f"{path}: {first or 'empty, not even a header'}")


def _header(line: bytes, separator: str) -> list[str] | str:
    try:
        return _fields(decoded(line).removeprefix("\ufeff"), separator)
    except BadInput as error:
        return f"header is {error}"


def _row(line: bytes, separator: str) -> list[str] | BadInput:
    try:
        return _fields(decoded(line), separator)
    except BadInput as error:
        return error


def _fields(line: str, separator: str) -> list[str]:
    if separator == "\t":
        return line.split("\t")
    # Sequences and descriptions may be longer than the csv module lets a field be, a limit of the
    # whole process on which other readers rely.
    limit = csv.field_size_limit(max(csv.field_size_limit(), len(line)))
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise BadInput(f"not CSV ({error})") from None
    finally:
        csv.field_size_limit(limit)
