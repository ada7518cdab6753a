"""Weights in one file or in several with an index, of whatever format the files are."""

from collections.abc import Callable
from pathlib import Path

from biomatrix_jax.convert.files.stored import Stored
from biomatrix_jax.errors import BadInput, some
from biomatrix_jax.files import inside, read_json


def find(
    directory: Path, single: str, index: str, read_header: Callable[[Path], dict[str, Stored]]
) -> list[Stored] | None:
    """Every tensor that the directory's files hold, in file order; None where it has none of them.

    A name that two files hold appears twice: the caller reports it with everything else that does
    not fit.

    Args:
      single: the name of the file where there is one only.
      index: the name of the index where there are several.
      read_header: gives the tensors of a file by name, without reading data.

    Raises:
      BadInput: a damaged file or index, an index that does not tell what is there, a file that
        leads out of the directory.
    """
    alone, listing = inside(directory, single), inside(directory, index)
    if alone and listing:
        raise BadInput(f"{directory} holds both {single} and {index}: remove what is stale")
    if alone:
        return list(read_header(alone).values())
    if not listing:
        return None
    weight_map = _read_index(listing)
    files = [_shard(listing, name) for name in dict.fromkeys(weight_map.values())]
    found = [tensor for file in files for tensor in read_header(file).values()]
    _check_index(listing, weight_map, found)
    return found


def _read_index(path: Path) -> dict[str, str]:
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadInput(f"{path}: no index of weights: its weight_map names no tensors")
    if not all(isinstance(name, str) for name in weight_map.values()):
        raise BadInput(f"{path}: weight_map has a file name that is not text")
    return weight_map


def _shard(index: Path, name: str) -> Path:
    # A plain name only: an index comes from elsewhere and must not reach other files.
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise BadInput(f"{index}: names {name!r}, which is outside the directory")
    if path := inside(index.parent, name):
        return path
    raise BadInput(f"{index}: names {name!r}, which is not there")


def _check_index(index: Path, weight_map: dict[str, str], found: list[Stored]) -> None:
    held = {(tensor.file.name, tensor.name) for tensor in found}
    absent = [f"{key} in {name}" for key, name in weight_map.items() if (name, key) not in held]
    unnamed = [f"{t.name} in {t.file.name}" for t in found if t.name not in weight_map]
    kinds = []
    if absent:
        kinds.append(f"{len(absent)} named but not there: {some(absent)}")
    if unnamed:
        kinds.append(f"{len(unnamed)} there but not named: {some(unnamed)}")
    if kinds:
        raise BadInput(f"{index}: does not tell what the files hold; {'; '.join(kinds)}")
