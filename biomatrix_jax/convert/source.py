"""Weights wherever they are: a Hugging Face directory or one of our checkpoints, read alike.

Both give parameters by our path, one at a time, so that no reader needs the model in memory.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from biomatrix_jax import checkpoint
from biomatrix_jax.config import ModelConfig
from biomatrix_jax.convert import hf_config, hf_files, rules
from biomatrix_jax.convert.safetensors_file import CODES
from biomatrix_jax.convert.stored import Spec
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import read_json
from biomatrix_jax.tokens import tokenizer_files


class Source(Protocol):
    path: Path
    config: ModelConfig
    files: Path  # the directory of config.json (if any), tokenizer and chat template
    notes: list[str]  # what a user should know about what was read

    def dtypes(self) -> dict[str, np.dtype]:
        """The stored dtype of each parameter, by path."""
        ...

    def parameters(self, paths: list[str]) -> Iterator[np.ndarray]:
        """Reads these parameters one after the other."""
        ...

    def place(self, shardings: dict[str, jax.sharding.Sharding]) -> dict[str, jax.Array]:
        """Reads these parameters onto devices."""
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
        where = self.path / "config.json"
        self.config = hf_config.to_model(read_json(where), str(where))
        found = hf_files.find_tensors(path)
        names = rules.table_names(tensor.name for tensor in found)
        rules.check(self.config, ((names[t.name], t.shape, t.dtype) for t in found), str(path))
        self._stored = {names[tensor.name]: tensor for tensor in found}
        self.weight_files = {hf_files.INDEX, *(tensor.file.name for tensor in found)}
        self.notes = self._drop_copied_head()
        if any(name != ours for name, ours in names.items()):
            self.notes.append(
                f"{path}: tensor names lack the prefix {rules.PREFIX!r}; read with it"
            )

    def dtypes(self) -> dict[str, np.dtype]:
        groups = rules.tensors(self.config).items()
        return {path: self._stored[group[0].name].dtype for path, group in groups}

    def parameters(self, paths: list[str]) -> Iterator[np.ndarray]:
        for path in paths:
            group = rules.tensors(self.config)[path]
            yield rules.stack(group, (self._stored[t.name].read() for t in group))

    def place(self, shardings: dict[str, jax.sharding.Sharding]) -> dict[str, jax.Array]:
        pairs = zip(shardings.items(), self.parameters(list(shardings)), strict=True)
        return {
            path: jax.make_array_from_callback(array.shape, sharding, array.__getitem__)
            for (path, sharding), array in pairs
        }

    def _drop_copied_head(self) -> list[str]:
        if not self.config.tied_embeddings or rules.HEAD not in self._stored:
            return []
        head = self._stored.pop(rules.HEAD)
        embedding = self._stored[rules.NAMES["embedding.table"]]
        if head.dtype != embedding.dtype or not same_bits(head.read(), embedding.read()):
            raise BadInput(
                f"{self.path}: config.json ties the embeddings, but {rules.HEAD} differs from "
                f"{embedding.name}: set tie_word_embeddings to false, or remove {rules.HEAD}"
            )
        return [f"{self.path}: {rules.HEAD} is a copy of {embedding.name}; dropped, they are tied"]


class CheckpointSource:
    """A step of one of our checkpoints."""

    def __init__(self, path: str | os.PathLike):
        directory, self.step = checkpoint.locate(path)
        self.store = checkpoint.CheckpointStore.open(directory)
        self.path = directory / str(self.step)
        self.config = self.store.model
        self.files = self.store.carried
        self.notes: list[str] = []
        self._stored = self.store.abstract_params(self.step)
        found = ((name, leaf.shape) for name, leaf in self._stored.items())
        rules.check_ours(self.config, found, str(self.path))

    def dtypes(self) -> dict[str, np.dtype]:
        return {name: leaf.dtype for name, leaf in self._stored.items()}

    def parameters(self, paths: list[str]) -> Iterator[np.ndarray]:
        for path in paths:
            yield self.store.read_param(self.step, path)

    def place(self, shardings: dict[str, jax.sharding.Sharding]) -> dict[str, jax.Array]:
        wanted = {
            path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=shardings[path])
            for path, leaf in self._stored.items()
        }
        return self.store.restore_params(self.step, wanted)


def open_source(path: str | os.PathLike) -> HFSource | CheckpointSource:
    """Opens whichever of the two `path` is.

    Raises:
      BadInput: it is neither, or cannot be used.
    """
    return CheckpointSource(path) if checkpoint.is_checkpoint(path) else HFSource(path)


def check_tokenizer(directory: Path, config: ModelConfig) -> None:
    """Raises BadInput where the directory's tokenizer has ids beyond the embedding's rows."""
    path = directory / tokenizer_files.TOKENIZER_JSON
    if not tokenizer_files.is_present(path):
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


def find_dtype(dtype: Any) -> np.dtype:
    """A dtype that weights may have, by name ("bfloat16") or as numpy and JAX write it."""
    known = {dtype.name: dtype for dtype in CODES}
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if name not in known:
        raise BadInput(f"dtype {name!r}: known are {', '.join(known)}")
    return known[name]


def cast(array: Any, dtype: np.dtype, name: str) -> Any:
    """Rounds a numpy or JAX array to `dtype`, to nearest even.

    Raises:
      BadInput: a finite value is too large for it.
    """
    if array.dtype == dtype:
        return array
    xp = array.__array_namespace__()
    with np.errstate(over="ignore"):
        rounded = array.astype(dtype)
    if xp.isinf(rounded).sum() > xp.isinf(array).sum():
        raise BadInput(f"{name} has values too large for {dtype.name}: choose another dtype")
    return rounded


def specs(config: ModelConfig, dtypes: dict[str, np.dtype]) -> list[Spec]:
    """The file tensors of these parameters, in the order of `dtypes`."""
    groups = rules.tensors(config)
    return [Spec(t.name, dtype, t.shape) for path, dtype in dtypes.items() for t in groups[path]]


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays of one dtype hold the same bits (NaN equals itself, -0 is not 0)."""
    bits = np.dtype(f"u{a.dtype.itemsize}")
    return a.shape == b.shape and bool(np.array_equal(a.view(bits), b.view(bits)))
