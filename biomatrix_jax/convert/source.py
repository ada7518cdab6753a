"""Weights wherever they are: a Hugging Face directory or one of our checkpoints, read alike.

Both give any part of a parameter by our path, so that no reader needs a parameter in memory, let
alone the model.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import jax
import numpy as np

from biomatrix_jax import checkpoint
from biomatrix_jax.blocks import Index, blocks
from biomatrix_jax.config import ModelConfig
from biomatrix_jax.convert import hf_config, hub, rules
from biomatrix_jax.convert.files import hf_files, torch_weights
from biomatrix_jax.convert.names import HEAD, NAMES, find_prefixes
from biomatrix_jax.convert.values import same_bits
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import inside
from biomatrix_jax.tokens import tokenizer_files


class Source(Protocol):
    config: ModelConfig
    files: Path  # the directory of config.json (if any), tokenizer and chat template
    notes: list[str]  # what a user should know about what was read

    def specs(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shape and stored dtype of each parameter, by path."""
        ...

    def read(self, path: str, index: Index = ()) -> np.ndarray:
        """A parameter, or the part of it at `index` (slices without a step, of leading axes);
        reads nothing else."""
        ...


class HFSource:
    """A directory with config.json and safetensors, checked as far as possible without reading.

    Attributes:
      weight_files: the names of the files with tensors, and of their index.

    Raises:
      BadInput: another architecture, damaged files, tensors other than the architecture's.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = self.files = Path(path)
        if not self.path.is_dir():
            raise BadInput(f"{path} does not exist or is no directory")
        self.config = hf_config.read(self.path)
        found = hf_files.find_tensors(path)
        prefixes = find_prefixes(tensor.name for tensor in found)
        rules.check(self.config, ((t.name, t.shape, t.dtype) for t in found), str(path), prefixes)
        self._stored = {prefixes.table_name(tensor.name): tensor for tensor in found}
        self._groups = rules.tensors(self.config)
        indexes = {hf_files.INDEX, torch_weights.INDEX}
        self.weight_files = indexes | {tensor.file.name for tensor in found}
        self.notes = self._drop_copied_head()
        if note := prefixes.note():
            self.notes.append(f"{path}: {note}")

    def specs(self) -> dict[str, jax.ShapeDtypeStruct]:
        shapes = rules.parameters(self.config)
        return {
            path: jax.ShapeDtypeStruct(shapes[path][0], self._stored[group[0].name].dtype)
            for path, group in self._groups.items()
        }

    def read(self, path: str, index: Index = ()) -> np.ndarray:
        group = self._groups[path]
        if group[0].layer is None:
            return self._mapped(group[0])[index]
        layers, *inner = index or (slice(None),)
        wanted = group[layers]
        first = self._mapped(wanted[0])[tuple(inner)]
        if len(wanted) == 1:
            return first[None]  # a view of the file, as long as nothing has to be stacked
        whole = np.empty((len(wanted), *first.shape), first.dtype)
        for row, tensor in zip(whole, wanted, strict=True):
            row[...] = self._mapped(tensor)[tuple(inner)]
        return whole

    def runs(self, path: str, index: Index) -> Iterator[tuple[rules.Tensor, np.ndarray]]:
        """What `read` gives, as flat arrays in C order, with the file tensor that each is of; each
        is valid until the next. What is one run of a file is not mapped, but read.
        """
        group = self._groups[path]
        tensors, inner = (group, index) if group[0].layer is None else (group[index[0]], index[1:])
        for tensor in tensors:
            whole = self._mapped(tensor)
            part = whole[inner]
            if part.flags.c_contiguous:
                first = part.ctypes.data - whole.ctypes.data
                for run in self._stored[tensor.name].runs(first, part.nbytes):
                    yield tensor, run
            else:
                yield tensor, part.reshape(-1)

    def _mapped(self, tensor: rules.Tensor) -> np.ndarray:
        return self._stored[tensor.name].read().reshape(tensor.ours)

    def _drop_copied_head(self) -> list[str]:
        if not self.config.tied_embeddings or HEAD not in self._stored:
            return []
        head = self._stored.pop(HEAD)
        embedding = self._stored[NAMES["embedding.table"]]
        pieces = blocks(head.shape, head.dtype.itemsize)
        if head.dtype != embedding.dtype or not all(
            same_bits(head.read()[index], embedding.read()[index]) for index in pieces
        ):
            raise BadInput(
                f"{self.path}: config.json ties the embeddings, but {head.name} differs from "
                f"{embedding.name}: set tie_word_embeddings to false, or remove {head.name}"
            )
        return [f"{self.path}: {head.name} is a copy of {embedding.name}; dropped, they are tied"]


class CheckpointSource:
    """A step of one of our checkpoints.

    Args:
      item: "params", or "average": the running average of them that a run may keep.
    """

    def __init__(self, path: str | os.PathLike, item: str = "params"):
        directory, self.step = checkpoint.locate(path)
        self.store = checkpoint.CheckpointStore.open(directory)
        self.path = directory / str(self.step)
        self.config = self.store.model
        self.files = self.store.carried
        self.notes: list[str] = []
        self._stored = self.store.shapes(self.step, item)
        found = ((name, leaf.shape) for name, leaf in self._stored.items())
        rules.check_ours(self.config, found, str(self.path))
        self._reader = self.store.reader(self.step, item)

    def specs(self) -> dict[str, jax.ShapeDtypeStruct]:
        return self._stored

    def read(self, path: str, index: Index = ()) -> np.ndarray:
        return self._reader.read(path, index)


def open_source(
    path: str | os.PathLike, revision: str | None = None
) -> HFSource | CheckpointSource:
    """Opens whichever of the two `path` is; a Hub id stands for its files, see `hub.resolve`.

    Raises:
      BadInput: it is neither, or cannot be used.
    """
    path = hub.resolve(path, revision)
    return CheckpointSource(path) if checkpoint.is_checkpoint(path) else HFSource(path)


def check_tokenizer(directory: Path, config: ModelConfig) -> None:
    """Raises BadInput where the directory's tokenizer has ids beyond the embedding's rows."""
    path = inside(directory, tokenizer_files.TOKENIZER_JSON)
    if path is None:
        return
    from tokenizers import Tokenizer

    try:
        ids = Tokenizer.from_file(str(path)).get_vocab().values()
    except Exception as error:  # the library raises nothing narrower
        raise BadInput(f"{path}: not a readable tokenizer ({error})") from None
    if ids and max(ids) >= config.vocab_size:
        raise BadInput(
            f"{path}: has token id {max(ids)}, but the model's vocab_size is {config.vocab_size}: "
            "the tokenizer belongs to another model"
        )
