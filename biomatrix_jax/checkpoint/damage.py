"""Telling by name what is missing, cut short or another file than was saved, or not written."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import inside, sha256


def check_carried(head: dict, directory: Path) -> None:
    """Raises BadInput where a file that the checkpoint carries is not what `head` (its model.json)
    says."""
    digests = head.get("carried")
    if not isinstance(digests, dict):
        raise BadInput(f"{directory / 'model.json'}: carried must list files, not {digests!r}")
    for name, digest in digests.items():
        path = inside(directory / "hf", name)
        if path is None:
            raise BadInput(f"{directory / 'hf' / name} is missing: copy the checkpoint whole")
        if sha256(path) != digest:
            raise BadInput(f"{path} is not the file that the checkpoint was made with: restore it")


def sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.glob("*/**/*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def compare(folder: Path, item: str, inventory: Iterable[tuple[str, int]]) -> None:
    found = sizes(folder)
    for name, size in inventory:
        if name.startswith(f"{item}/") and found.get(name) != size:
            there = f"{found[name]} bytes" if name in found else "missing"
            raise BadInput(f"{folder / name}: {there}, written with {size} bytes: damaged")


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
        raise BadInput(f"{where}: damaged checkpoint ({cause})") from None


@contextlib.contextmanager
def written(path: Path) -> Iterator[None]:
    """Turns what TensorStore raises where the system refuses a write, on a full disk say, into the
    OSError that it is."""
    try:
        yield
    except Exception as error:
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code is None:
            raise
        named = re.search(r'local file "([^"]+)"', str(error))
        number = int(code.group(1))
        where = named.group(1) if named else str(path)
        raise OSError(number, os.strerror(number), where) from error
