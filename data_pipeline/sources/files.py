"""Reading corpus files line by line."""

from collections.abc import Iterator
from pathlib import Path

from biomatrix_jax.reading import open_binary


def read_lines(path: str | Path) -> Iterator[bytes]:
    """The lines of a file, plain or gzipped, without their ends; raises as `open_binary`."""
    with open_binary(path) as file:
        for line in file:
            yield line.rstrip(b"\r\n")


def stem(path: str | Path) -> str:
    """The file's name up to its first dot: `dir/1abc.cif.gz` -> `1abc`."""
    return Path(path).name.split(".", 1)[0]
