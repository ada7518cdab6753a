"""Files: their states, to tell whether one changed, and hashes of what they hold."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from biomatrix_jax.data.manifest import InputsEntry
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import sha256


class State(NamedTuple):
    """What shows, without reading a file, that it changed.

    Attributes:
      name: within the folder.
      time: of the last change, in nanoseconds.
    """

    name: str
    bytes: int
    time: int


def states(path: Path) -> list[State]:
    """Of a file, or of all in a folder and those below it, by name; half a million in ten seconds.

    Links are followed; of a folder that is there twice the first counts.

    Raises:
      BadInput: there is no such file or folder, or it cannot be listed.
    """
    try:
        if path.is_dir():
            return sorted(_below(str(path), "", set()))
        found = path.stat()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    return [State(path.name, found.st_size, found.st_mtime_ns)]


def _below(folder: str, prefix: str, seen: set[str]) -> Iterator[State]:
    real = os.path.realpath(folder)
    if real in seen:  # a link may lead up
        return
    seen.add(real)
    with os.scandir(folder) as entries:
        inside = sorted(entries, key=lambda entry: entry.name)
    for entry in inside:
        if entry.is_dir():
            yield from _below(entry.path, f"{prefix}{entry.name}/", seen)
        elif entry.is_file():
            found = entry.stat()
            yield State(f"{prefix}{entry.name}", found.st_size, found.st_mtime_ns)


def digest(paths: Iterable[Path]) -> str:
    """The states of files and of all files in folders as one short string; empty for no paths."""
    told = [(str(path), states(path)) for path in paths]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest() if told else ""


def hashed(files: Iterable[tuple[str, Path]]) -> InputsEntry:
    """The manifest's line about files, given with their names.

    Raises:
      BadInput: one is gone, or cannot be read.
    """
    names, lines, size = [], hashlib.sha256(), 0
    for name, path in files:
        try:
            lines.update(f"{sha256(path)}  {name}\n".encode("utf-8", "surrogateescape"))
            size += path.stat().st_size
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from None
        names.append(name)
    return InputsEntry(first=names[0], files=len(names), bytes=size, sha256=lines.hexdigest())
