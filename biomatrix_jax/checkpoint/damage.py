"""Telling by name what is missing, cut short or another file than was saved, or not written."""

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import jax

from biomatrix_jax.checkpoint.places import INVENTORY, complete_steps
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file, read_json


class Damaged(BadInput):
    """A file of a saved step is missing or not what was written; another step may be whole."""


def sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.glob("*/**/*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def write_inventory(folder: Path) -> None:
    with atomic_file(folder / INVENTORY, "w") as file:
        file.write(json.dumps(sizes(folder), indent=1) + "\n")


def check_inventory(folder: Path, item: str | None = None) -> None:
    """Raises Damaged where a file of a step, or of one item of it, is not as long as it was."""
    path = folder / INVENTORY
    if not path.exists():  # object stores have no rename to write it before
        return
    try:
        inventory = read_json(path)
    except BadInput as error:
        raise Damaged(f"{error}: damaged") from None
    found = sizes(folder)
    for name, size in inventory.items():
        if (item is None or name.startswith(f"{item}/")) and found.get(name) != size:
            there = f"{found[name]} bytes" if name in found else "missing"
            raise Damaged(f"{folder / name}: {there}, written with {size} bytes: damaged")


def newest_whole(directory: Path, below: int | None = None) -> int | None:
    """The newest step (before `below`) of a checkpoint directory of which no file is missing or cut
    short; None where there is none."""
    for step in reversed(complete_steps(directory)):
        if below is None or step < below:
            with contextlib.suppress(Damaged):
                check_inventory(directory / str(step))
                return step
    return None


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns whatever is raised while reading into one line that names the file."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError):  # too large for where it is to go
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        named = re.search(r'local file "([^"]+)"', text)
        cause = text.partition(" [tensorstore_spec")[0][:300]
        where = named.group(1) if named else path
        raise Damaged(f"{where}: damaged checkpoint ({cause})") from None


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """Turns what TensorStore raises where the system refuses a write, on a full disk say, into the
    OSError that it is."""
    try:
        yield
    except Exception as error:
        refused = _refusal(error, path)
        if refused is None or refused is error:
            raise
        raise refused from error


class Unraisable:
    """Python's hook for errors that nobody can catch, without the ones that say nothing: when a
    write fails, the others under way answer to an event loop that is gone by then."""

    def __init__(self, before):
        self._before = before

    def __call__(self, unraisable) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            self._before(unraisable)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a log record of Orbax says more than `written` will: in its threads Orbax logs with a
    stack trace what it raises once it is asked. A filter for its logger."""
    return not record.exc_info or _refusal(record.exc_info[1], Path()) is None


def _refusal(error: BaseException | None, path: Path) -> OSError | None:
    """The system's refusal that an error tells of."""
    if isinstance(error, OSError):
        return error
    code = re.search(r"os_error_code='(\d+)'", str(error))
    if code is None:
        return None
    named = re.search(r'local file "([^"]+)"', str(error))
    number = int(code.group(1))
    return OSError(number, os.strerror(number), named.group(1) if named else str(path))
