"""Which code makes the bytes of a data directory, beyond its recipe and inputs."""

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import biomatrix_jax
from biomatrix_jax import provenance

# Those that read, compose, tokenize, compare or write.
PACKAGES = (
    "biomatrix-jax",
    "array-record",
    "biopython",
    "datasketch",
    "flax",
    "gemmi",
    "jax",
    "jaxlib",
    "numpy",
    "pyarrow",
    "rdkit",
    "selfies",
    "tokenizers",
)
# Of biomatrix_jax; of data_pipeline it is everything. Training, model conversion and the rest may
# change and what a build has done stays good.
_PARTS = (
    "assets",
    "data/rows.py",
    "mapped.py",
    "model",  # the protein tokenizer has its products and rotations
    "reading.py",
    "structure",
    "tokens",
    "torch_file",
)


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide what is in a shard, as far as they are there."""
    return provenance.versions(PACKAGES)


@functools.cache
def code() -> str:
    """One SHA-256 of our own source and packaged data that decide what is in a shard.

    A version stands for many states of a checkout; a fix of a reader must not go on from results
    that the reader before it left.
    """
    found = hashlib.sha256()
    library = Path(biomatrix_jax.__file__).parent
    for path in (Path(__file__).parent, *(library / part for part in _PARTS)):
        for file in _files(path):
            name = f"{path.name}/{file.relative_to(path).as_posix()}"
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            found.update(f"{content}  {name}\n".encode())
    return found.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for file in sorted(path.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file
