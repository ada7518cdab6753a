"""Asset files whose bytes depend on their content alone."""

import gzip
import io
import os

from biomatrix_jax.files import atomic_file


def write_gzip(path: str | os.PathLike, text: str) -> None:
    """Writes `text` as UTF-8, gzipped without file name or time, so that equal text gives equal
    bytes (for one version of zlib)."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(text.encode("utf-8"))
    with atomic_file(path) as file:
        file.write(buffer.getvalue())
