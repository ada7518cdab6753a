"""Data directories on object stores: copied there and back file by file, the manifest last.

A place is a path or a URL that fsspec knows (`gs://`, `s3://`, `az://`; each needs the package that
fsspec names). Nothing but the manifest makes a directory complete, so an interrupted copy is none,
and the same copy goes on with the files that are missing.
"""

import hashlib
import sys
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.display import Display
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import parse_json

CHUNK = 8 * 2**20  # bytes in memory

Progress = Callable[[str, int, int], None]  # what is done, files, and of how many


class Listed(NamedTuple):
    """A file of a data directory."""

    path: str
    sha256: str


def is_url(place: str) -> bool:
    return "://" in place


def copy(
    source: str,
    target: str,
    *,
    overwrite: bool = False,
    progress: Progress = lambda stage, done, files: None,
) -> Manifest:
    """Copies a data directory; every file is compared with the manifest's SHA-256 on its way.

    Raises:
      BadInput: `source` is no complete data directory or a file of it is damaged; `target` is one
        already; a place that cannot be reached, or whose package is missing.
    """
    with _Reached(source) as from_, _Reached(target) as to:
        content = from_.read(manifests.FILE)
        manifest = manifests.parse(
            parse_json(content, f"{source}/{manifests.FILE}"), f"{source}/{manifests.FILE}"
        )
        if to.size(manifests.FILE) is not None:
            if not overwrite:
                raise BadInput(f"{target} exists already: choose another, or pass --overwrite")
            to.remove(manifests.FILE)  # from here on it is not complete
        files = listed(manifest)
        for number, file in enumerate(files, start=1):
            if to.size(file.path) != from_.size(file.path):  # else an earlier copy came so far
                from_.send(file, to)
            progress("copy", number, len(files))
        to.write(manifests.FILE, content)
    return manifest


def copy_shown(source: str, target: str, *, overwrite: bool = False) -> Manifest:
    """As `copy`; shows progress on standard error."""
    with Display(sys.stderr, "files") as display:
        return copy(source, target, overwrite=overwrite, progress=display.show)


def listed(manifest: Manifest) -> list[Listed]:
    """The files of a data directory, its manifest aside."""
    shards = (*manifest.shards, *manifest.documents)
    return [
        *(
            Listed(f"{manifests.TOKENIZER}/{name}", digest)
            for name, digest in manifest.vocabulary.files.items()
        ),
        *(Listed(shard.path, shard.sha256) for shard in shards),
    ]


class _Reached:
    """A place, through fsspec; its errors as one line that names it."""

    def __init__(self, place: str):
        self.place = place

    def __enter__(self) -> "_Reached":
        import fsspec

        try:
            self._system, self._root = fsspec.core.url_to_fs(self.place)
        except (ImportError, ValueError) as error:
            raise BadInput(f"{self.place}: {error}") from None
        return self

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, OSError) and not isinstance(error, BadInput):
            raise BadInput(f"{self.place}: {error}") from None

    def read(self, name: str) -> bytes:
        try:
            return self._system.cat_file(self._path(name))
        except FileNotFoundError:
            raise BadInput(f"{self.place}: no {name}, so no finished data") from None

    def write(self, name: str, content: bytes) -> None:
        with self._new(name) as new:
            new.write(content)

    def size(self, name: str) -> int | None:
        """None where there is no such file."""
        try:
            return self._system.info(self._path(name))["size"]
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        self._system.rm_file(self._path(name))

    def send(self, file: Listed, to: "_Reached") -> None:
        digest = hashlib.sha256()
        with self._system.open(self._path(file.path), "rb") as content, to._new(file.path) as new:
            while chunk := content.read(CHUNK):
                digest.update(chunk)
                new.write(chunk)
            if digest.hexdigest() != file.sha256:
                new.write(b"damaged")  # of another size, so that no later copy takes it for whole
                raise BadInput(
                    f"{self.place}/{file.path} has another SHA-256 than in the manifest: "
                    "build the data again, or copy it whole"
                )

    def _new(self, name: str) -> IO[bytes]:
        path = self._path(name)
        self._system.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        return self._system.open(path, "wb")

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"
