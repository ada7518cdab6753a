"""The weights of a Hugging Face directory: one safetensors file, or several with an index.

Where a directory has none, PyTorch files are read instead; they are never written.
"""

import itertools
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from biomatrix_jax.convert.files import safetensors_file, shards, torch_weights
from biomatrix_jax.convert.files.stored import Spec, Stored
from biomatrix_jax.errors import BadInput

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def find_tensors(directory: str | os.PathLike) -> list[Stored]:
    """Every tensor that the directory's files hold, in file order; PyTorch files are looked at
    only where there are no safetensors. No data is kept.

    A name that two files hold appears twice, see `shards.find`.

    Raises:
      BadInput: no weights, a damaged file or index, an index that does not tell what is there, a
        file that leads out of the directory.
    """
    found = shards.find(Path(directory), SINGLE, INDEX, safetensors_file.read_header)
    if found is None:
        found = torch_weights.find_tensors(directory)
    if found is None:
        others = f"{torch_weights.SINGLE}, {torch_weights.INDEX}"
        raise BadInput(f"{directory} holds no weights: neither {SINGLE} nor {INDEX}, {others}")
    return found


def write_tensors(
    directory: Path,
    specs: Sequence[Spec],
    parts: Iterable[Iterable[np.ndarray]],
    shard_bytes: int,
) -> None:
    """Writes weights into `directory`, one file or several with an index.

    Args:
      specs: all tensors, widest dtypes first.
      parts: for each of them, in the same order, arrays that follow each other in the tensor's C
        order, possibly made only when asked for.
      shard_bytes: no file holds more, unless a single tensor does.
    """
    shards = plan_shards(specs, shard_bytes)
    total = len(shards)
    names = [f"model-{i:05}-of-{total:05}.safetensors" for i in range(1, total + 1)]
    stream = iter(parts)
    for name, shard in zip(names if total > 1 else [SINGLE], shards, strict=True):
        safetensors_file.write(directory / name, shard, itertools.islice(stream, len(shard)))
    if total > 1:
        weight_map = {t.name: n for n, shard in zip(names, shards, strict=True) for t in shard}
        sizes = {
            "total_parameters": sum(spec.nbytes // spec.dtype.itemsize for spec in specs),
            "total_size": sum(spec.nbytes for spec in specs),
        }
        content = {"metadata": sizes, "weight_map": dict(sorted(weight_map.items()))}
        (directory / INDEX).write_text(json.dumps(content, indent=2) + "\n")


def plan_shards(specs: Sequence[Spec], shard_bytes: int) -> list[list[Spec]]:
    """Cuts a sequence of tensors into files, each filled in order."""
    shards: list[list[Spec]] = [[]]
    filled = 0
    for spec in specs:
        if shards[-1] and filled + spec.nbytes > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(spec)
        filled += spec.nbytes
    return shards


def parse_size(text: str | int) -> int:
    """ "5GB", "500MiB" or a number of bytes -> bytes."""
    match = re.fullmatch(r"(\d{1,18}(?:\.\d+)?)\s*([A-Za-z]*)", str(text).strip())
    unit = match and UNITS.get(match.group(2).upper())
    size = int(float(match.group(1)) * unit) if unit else 0
    if size <= 0:
        raise BadInput(f"shard size {text!r}: write a number with KB, MB, GB, KiB, MiB or GiB")
    return size
