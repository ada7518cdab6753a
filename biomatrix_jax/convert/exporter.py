"""Checkpoint -> Hugging Face directory."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from biomatrix_jax.checkpoint import CARRIED_FILES
from biomatrix_jax.convert import hf_config, hf_files, rules
from biomatrix_jax.convert.importer import check_places
from biomatrix_jax.convert.source import CheckpointSource, cast, check_tokenizer, find_dtype, specs
from biomatrix_jax.files import atomic_directory, read_json
from biomatrix_jax.tokens import tokenizer_files


def to_hf(
    src: str | os.PathLike,
    dst: str | os.PathLike,
    dtype: str | None = None,
    shard_size: str | int = "5GB",
    overwrite: bool = False,
) -> list[str]:
    """Makes the Hugging Face directory `dst` of a run, a checkpoint (its latest step) or a step.

    Values are kept to the bit unless `dtype` asks for another type. Files that the model brought
    along are copied byte for byte; config.json too, unless the weights changed what it says. `dst`
    appears when all is written.

    Args:
      dtype: "float32", "bfloat16" or "float16"; None: as stored.
      shard_size: the largest weights file, "5GB" or bytes.

    Returns:
      Notes for the user, one line each.

    Raises:
      BadInput: `src` cannot be used, or `dst` exists and `overwrite` is false; nothing is written.
    """
    check_places(src, dst, overwrite)
    shard_bytes = hf_files.parse_size(shard_size)
    target = None if dtype is None else find_dtype(dtype)
    source = CheckpointSource(src)
    check_tokenizer(source.files, source.config)
    stored = source.dtypes()
    dtypes = {path: target or stored[path] for path in rules.tensors(source.config)}
    # Widest first, as a weights file wants its tensors.
    dtypes = dict(sorted(dtypes.items(), key=lambda item: -item[1].itemsize))
    files = _settings(source, dtypes["embedding.table"].name)
    with atomic_directory(dst, overwrite) as temporary:
        tokenizer_files.copy_files(source.files, temporary, CARRIED_FILES)
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        arrays = _file_tensors(source, dtypes)
        hf_files.write_tensors(temporary, specs(source.config, dtypes), arrays, shard_bytes)
    return source.notes


def _file_tensors(
    source: CheckpointSource, dtypes: dict[str, np.dtype]
) -> Iterator[list[np.ndarray]]:
    for path, array in zip(dtypes, source.parameters(list(dtypes)), strict=True):
        for name, part in rules.split(source.config, path, array):
            yield [cast(part, dtypes[path], name)]


def _settings(source: CheckpointSource, dtype: str) -> dict[str, bytes]:
    """config.json; for a model born here also generation_config.json where it has none."""
    carried = source.files / "config.json"
    if carried.is_file():
        before = read_json(carried)
        # A configuration may name another dtype than its files have; that is not ours to mend.
        kept = source.store.made.get("dtype") == dtype
        after = hf_config.updated(before, source.config, None if kept else dtype, str(carried))
        text = hf_config.text(after).encode()
        return {"config.json": carried.read_bytes() if after == before else text}
    ids = _ids(source.files)
    files = {"config.json": hf_config.new(source.config, dtype, ids)}
    if ids and not (source.files / tokenizer_files.GENERATION_CONFIG).is_file():
        files[tokenizer_files.GENERATION_CONFIG] = ids
    return {name: hf_config.text(content).encode() for name, content in files.items()}


def _ids(directory: Path) -> dict[str, Any]:
    """The tokenizer's end and padding ids under the names of a generation configuration."""
    if not (directory / tokenizer_files.TOKENIZER_JSON).is_file():
        return {}
    tokenizer = tokenizer_files.load_tokenizer(directory)
    config = tokenizer_files.read_config(directory)
    ends, pad = tokenizer_files.read_end_ids(directory, config, tokenizer)
    return {"eos_token_id": ends[0] if len(ends) == 1 else list(ends), "pad_token_id": pad}
