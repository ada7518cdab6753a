"""SDF files: molfiles with data fields behind them, one entry at a time.

The format is MDL's, in "CTfile Formats" (Dassault Systèmes BIOVIA): a title, two more lines of
header, the connection table to `M  END`, data fields, `$$$$`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary
from data_pipeline.formats.lines import decoded

LARGEST = 1 << 26  # bytes of an entry; one of 1,000 atoms has 1 << 16
_END = "\nM  END"
_CUT_OFF = "entry is cut off ($$$$ is missing)"
_TOO_LARGE = f"entry of more than {LARGEST >> 20} MiB"
_FIELD = re.compile(r">.*<(.+)>")


@dataclass(frozen=True)
class SdfEntry:
    """An entry as text: its molfile to the end of the connection table, and its data fields."""

    molfile: str
    fields: dict[str, str]


def sdf_entries(path: str | Path) -> Iterator[tuple[str, SdfEntry | BadInput]]:
    """The entries of a file, each with its title, or else the file's name and its number.

    Raises:
      BadInput: the file is missing or damaged.
    """
    stem = Path(path).name.split(".", 1)[0]
    for number, (lines, problem) in enumerate(_split(path), start=1):
        title = lines[0].decode("utf-8", "replace").strip() if lines else ""
        try:
            if problem:
                raise BadInput(problem)
            yield title or f"{stem}:{number}", _entry(decoded(b"\n".join(lines)))
        except BadInput as error:
            yield title or f"{stem}:{number}", error


def _split(path: str | Path) -> Iterator[tuple[list[bytes], str]]:
    """(lines of an entry, what is wrong with it); of one that is too large, only the first part."""
    lines: list[bytes] = []
    size = 0
    with open_binary(path) as file:
        # Pieces of a bounded length, should a file have no ends of lines.
        for line in iter(lambda: file.readline(LARGEST), b""):
            if line.startswith(b"$$$$"):
                yield lines, _TOO_LARGE if size > LARGEST else ""
                lines, size = [], 0
                continue
            size += len(line)
            if size <= LARGEST:
                lines.append(line.rstrip(b"\r\n"))
    if any(line.strip() for line in lines):
        yield lines, _CUT_OFF


def _entry(text: str) -> SdfEntry:
    table, end, rest = text.partition(_END)
    return SdfEntry(f"{table}{end}\n", _fields(rest))


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name, values = None, []
    for line in [*text.split("\n"), ""]:
        if name is None:
            if found := _FIELD.match(line):
                name, values = found[1], []
        elif line.strip():
            values.append(line)
        else:
            fields[name], name = "\n".join(values), None
    return fields
