"""Checkpoint, or a decoder in memory -> Hugging Face directory."""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from biomatrix_jax.checkpoint import CARRIED_FILES
from biomatrix_jax.convert import hf_config, rules
from biomatrix_jax.convert.files import hf_files
from biomatrix_jax.convert.files.stored import Spec
from biomatrix_jax.convert.importer import check_apart, check_places
from biomatrix_jax.convert.live import LiveSource
from biomatrix_jax.convert.source import CheckpointSource, Source, check_tokenizer
from biomatrix_jax.convert.values import Finite, cast, find_dtype
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, check_absent, inside
from biomatrix_jax.model import Decoder
from biomatrix_jax.processes import barrier, is_first
from biomatrix_jax.tokens import tokenizer_files


def to_hf(
    src: str | os.PathLike,
    dst: str | os.PathLike,
    dtype: str | None = None,
    shard_size: str | int = "5GB",
    overwrite: bool = False,
    item: str = "params",
) -> list[str]:
    """Makes the Hugging Face directory `dst` of a run, a checkpoint (its latest step) or a step.

    Values are kept to the bit unless `dtype` asks for another type. Files that the model brought
    along are copied byte for byte; config.json too, unless the weights changed what it says.
    Weights pass through memory a few megabytes at a time. `dst` appears when all is written.

    Args:
      dtype: "float32", "bfloat16" or "float16"; None: as stored.
      shard_size: the largest weights file, "5GB" or bytes.
      item: "params", or "average": the running average of the weights that a run may keep.

    Returns:
      Notes for the user, one line each.

    Raises:
      BadInput: `src` cannot be used, or `dst` exists and `overwrite` is false; nothing is written.
    """
    check_places(src, dst, overwrite)
    source = CheckpointSource(src, item)
    check_apart(source.store.directory, dst)
    if Path(dst).resolve().is_relative_to(source.store.directory.resolve()):
        raise BadInput(f"{dst} lies in the checkpoint that is read: choose another place")
    export = _Export(source, dtype, shard_size, source.store.made.get("dtype"))
    with atomic_directory(dst, overwrite) as temporary:
        export.write(temporary)
    return [*source.notes, *export.finite.notes(src)]


def save(
    model: Decoder,
    dst: str | os.PathLike,
    files: str | os.PathLike | None = None,
    dtype: str | None = None,
    shard_size: str | int = "5GB",
    overwrite: bool = False,
) -> list[str]:
    """Makes the Hugging Face directory `dst` of a decoder in memory, laid out on any mesh.

    Weights pass through memory a few megabytes at a time. With several processes all call it, and
    the first one writes; of what is laid out over them all, memory then holds a layer, or an
    embedding table, at a time.

    Args:
      files: a directory whose tokenizer, generation configuration, chat template and config.json
        belong to the model; None: the weights and a new config.json alone.
      dtype, shard_size, overwrite: as `to_hf`.

    Returns:
      Notes for the user, one line each.

    Raises:
      BadInput: as `to_hf`.
    """
    check_absent(dst, overwrite)  # in every process, so that none waits for one that gave up
    barrier("export absent")
    with tempfile.TemporaryDirectory() as nothing:
        source = LiveSource(model, Path(files or nothing))
        export = _Export(source, dtype, shard_size, None)
        if is_first():
            with atomic_directory(dst, overwrite) as temporary:
                export.write(temporary)
        else:
            export.take_part()
    barrier("saved")
    return export.finite.notes("the model")


class _Export:
    """What will be written, checked before anything is.

    Args:
      carried_dtype: of the weights that the carried config.json came with, if that is known.
    """

    def __init__(
        self, source: Source, dtype: str | None, shard_size: str | int, carried_dtype: str | None
    ):
        self.finite = Finite()
        self._source = source
        self._shard_bytes = hf_files.parse_size(shard_size)
        target = None if dtype is None else find_dtype(dtype)
        check_tokenizer(source.files, source.config)
        self._dtypes = {path: target or np.dtype(s.dtype) for path, s in source.specs().items()}
        self._tensors = rules.in_file_order(source.config, self._dtypes)
        name = self._dtypes["embedding.table"].name
        self._settings = _settings(source, name, kept=carried_dtype == name)

    def write(self, directory: Path) -> None:
        tokenizer_files.copy_files(self._source.files, directory, CARRIED_FILES)
        for name, content in self._settings.items():
            (directory / name).write_bytes(content)
        specs = [Spec(t.name, self._dtypes[t.path], t.shape) for t in self._tensors]
        parts = (_ahead(self._pieces(tensor)) for tensor in self._tensors)
        hf_files.write_tensors(directory, specs, parts, self._shard_bytes)

    def take_part(self) -> None:
        """Reads as `write` does, for the processes that write."""
        for tensor in self._tensors:
            for _ in self._pieces(tensor):
                pass

    def _pieces(self, tensor: rules.Tensor) -> Iterator[np.ndarray]:
        dtype = self._dtypes[tensor.path]
        for index in rules.pieces(tensor, dtype.itemsize):
            values = self._source.read(tensor.path, index)
            self.finite.look(tensor.name, values)
            yield cast(values, dtype, tensor.name)


def _ahead(items: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same items, each read in a thread while the one before it is written."""
    end = object()
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = reader.submit(next, items, end)
            yield item


def _settings(source: Source, dtype: str, kept: bool) -> dict[str, bytes]:
    """config.json; for a model born here also generation_config.json where it has none.

    Args:
      kept: the weights have the dtype that the carried configuration came with, whatever it says:
        it may name another one than its files have, and that is not ours to mend.
    """
    carried = inside(source.files, hf_config.FILE)
    if carried:
        return {
            hf_config.FILE: hf_config.rewritten(carried, source.config, None if kept else dtype)
        }
    ids = _ids(source.files)
    files = {hf_config.FILE: hf_config.new(source.config, dtype, ids)}
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
