"""Which files a corpus is."""

from collections.abc import Sequence
from pathlib import Path

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import COMPRESSED, within


def corpus_files(path: str | None, name: str, suffixes: Sequence[str]) -> list[Path]:
    """The files of a corpus, in the order of their names.

    Args:
      path: a file, taken whatever it is called; or a folder or pattern, of which those files are
        taken that end in one of `suffixes`, compressed or not.
      name: of the reader, for messages.

    Raises:
      BadInput: no path, nothing there, or no such file in it.
    """
    if not path:
        raise BadInput(f"{name}: no data in the box, give the path of the corpus")
    if Path(path).is_file():
        return [Path(path)]
    endings = tuple(suffix + packed for suffix in suffixes for packed in ("", *COMPRESSED))
    if found := [file for file in within(path) if file.is_file() and file.name.endswith(endings)]:
        return found
    raise BadInput(f"{path}: no file that ends in {', '.join(suffixes)} (compressed or not)")


def stem(path: str | Path) -> str:
    """The file's name up to its first dot: `dir/1abc.cif.gz` -> `1abc`."""
    return Path(path).name.split(".", 1)[0]
