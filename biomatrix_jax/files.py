"""Writing so that nothing half-written ever looks complete, and reading strictly.

Both context managers write beside the target and rename at the end: on the same file system the
rename is atomic, so a reader sees the old state or the new one, never something in between.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from biomatrix_jax.errors import BadInput


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike, mode: str = "wb") -> Iterator[IO]:
    """Opens a temporary file that becomes `path` when the block ends without an exception."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.incomplete-", dir=path.parent)
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_directory(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary directory that becomes `path` when the block ends without an exception.

    Raises:
      BadInput: `path` is a file, or a directory that is not empty and `overwrite` is false; also
        where it came to be meanwhile.
      OSError: from the block; one about the temporary directory, which is gone by then, or about a
        full disk names `path`.
    """
    check_absent(path, overwrite)
    # A link stays a link to what is written; "." gets a name and a parent.
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.incomplete-", dir=path.parent))
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        move_directory(temporary, path, overwrite)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            _name(error, temporary, path)
        raise


def move_directory(made: Path, path: Path, overwrite: bool = False) -> None:
    """Gives a directory that is complete its name; both lie on one file system.

    Raises:
      BadInput: as `check_absent`.
    """
    check_absent(path, overwrite)
    if overwrite and path.is_dir():
        _swap_in(made, path)
    else:
        os.replace(made, path)  # over nothing or an empty directory, else it fails


def check_absent(path: str | os.PathLike, overwrite: bool = False) -> None:
    """Raises BadInput where making the directory `path` would replace something without
    `overwrite`, or a file at all."""
    path = Path(path)
    if not path.exists():
        return
    if not path.is_dir():
        raise BadInput(f"{path} is a file where a directory is to be: choose another place")
    if overwrite or not any(path.iterdir()):
        return
    raise BadInput(f"{path} exists already: choose another place, or pass --overwrite")


def inside(directory: str | os.PathLike, name: str | os.PathLike) -> Path | None:
    """The path of a regular file that a model directory holds; None where nothing has that name.

    A model directory comes from elsewhere, and what its files hold is copied and published: a link
    to a private file of this machine would be published with it. So links may lead to files of
    the same directory only. The Hub's cache is the exception: what lies there as
    REPOSITORY/snapshots/REVISION consists of links into REPOSITORY/blobs. `directory` itself may be
    a link, that is the user's own. A pipe or a device is no file either: reading could block for
    ever.

    Args:
      name: relative to `directory`.

    Raises:
      BadInput: there is something else: a link that leaves the directory, a link to nothing, a
        folder, a pipe, a device.
    """
    path = Path(directory) / name
    if not os.path.lexists(path):
        return None
    root, real = Path(os.path.realpath(directory)), Path(os.path.realpath(path))
    homes = [root]
    if root.parent.name == "snapshots":
        homes.append(root.parent.parent / "blobs")
    if not os.path.isfile(real):
        raise BadInput(f"{path} is a link to nothing, or no file: fetch it again, or remove it")
    if not any(real.is_relative_to(home) for home in homes):
        raise BadInput(
            f"{path} leads out of the directory, to {real}: files of a model lie in its own "
            "directory; if you trust the link, put a copy in its place"
        )
    return path


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
      BadInput: there is no such file, or it holds something else: other bytes than UTF-8, no JSON
        (cut short, say), an object with a key twice, no object.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist") from None
    except OSError as error:
        raise BadInput(f"{path}: not readable ({error.strerror})") from None
    return parse_json(content, str(path))


def parse_json(content: bytes, where: str) -> dict[str, Any]:
    """The object that bytes of JSON spell; raises BadInput as `read_json`, which names `where`."""
    try:
        tree = json.loads(content.decode("utf-8"), object_pairs_hook=_unique_keys)
    except UnicodeDecodeError as error:
        raise BadInput(f"{where}: not JSON: no UTF-8 text ({error.reason})") from None
    except RecursionError:
        raise BadInput(f"{where}: not readable as JSON: nested too deep") from None
    except ValueError as error:
        raise BadInput(f"{where}: not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise BadInput(f"{where}: should hold a JSON object, not {type(tree).__name__}")
    return tree


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key given twice is an error, where `json` would keep the last value."""
    content = dict(pairs)
    if len(content) < len(pairs):
        (name, count), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"key {name!r} is there {count} times")
    return content


def _name(error: OSError, temporary: Path, path: Path) -> None:
    # Writing to an open file tells no name; copying tells two.
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    full = not names and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    if full or any(Path(name).is_relative_to(temporary) for name in names):
        error.filename, error.filename2 = str(path), None


def _swap_in(temporary: Path, path: Path) -> None:
    # The old directory steps aside first and is deleted last, so that whatever goes wrong in
    # between, an interrupt too, loses nothing.
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.replaced-", dir=path.parent))
    try:
        os.replace(path, aside / "old")
        os.replace(temporary, path)
    finally:
        if (aside / "old").exists() and not path.exists():
            os.replace(aside / "old", path)
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
