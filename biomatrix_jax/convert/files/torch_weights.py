"""The weights of a Hugging Face directory as PyTorch files: one, or several with an index."""

import os
from pathlib import Path

from biomatrix_jax import torch_file
from biomatrix_jax.convert.files import shards
from biomatrix_jax.convert.files.safetensors_file import CODES
from biomatrix_jax.convert.files.stored import Stored
from biomatrix_jax.errors import BadInput

SINGLE = "pytorch_model.bin"
INDEX = "pytorch_model.bin.index.json"


def find_tensors(directory: str | os.PathLike) -> list[Stored] | None:
    """As `shards.find`, which see, for PyTorch files: None where the directory has none.

    Each file is read once, for its checksums; the tensors come when they are asked for.
    """
    return shards.find(Path(directory), SINGLE, INDEX, read_header)


def read_header(path: str | os.PathLike) -> dict[str, Stored]:
    """The tensors of one file by name. Tied tensors lie in one place of the file.

    Raises:
      BadInput: as `torch_file.read_header`, or of a type that no weights of a decoder have.
    """
    return {name: _stored(name, entry) for name, entry in torch_file.read_header(path).items()}


def _stored(name: str, entry: torch_file.Entry) -> Stored:
    if entry.dtype not in CODES:
        read = ", ".join(dtype.name for dtype in CODES)
        raise BadInput(f"{entry.file}: {name} is stored as {entry.dtype}; read are {read}")
    return Stored(name, entry.dtype, entry.shape, entry.file, entry.offset, entry.strides)
