"""The state of a training as one file. For a single process, which holds all of it."""

import os
from typing import Any

import jax
import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file


def save(path: str | os.PathLike, state: Any) -> None:
    """Writes a tree of arrays, atomically."""
    arrays = {_name(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(state)}
    with atomic_file(path) as file:
        np.savez(file, **arrays)


def restore(path: str | os.PathLike, shapes: Any) -> Any:
    """Reads what `save` wrote.

    Args:
      shapes: the tree, with shapes and shardings, of any mesh.

    Raises:
      BadInput: the file is damaged, or holds another tree.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(shapes)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # whatever a damaged archive meets in numpy and zipfile
        raise BadInput(f"{path}: not readable ({error}): remove it and start again") from None
    wanted = {_name(path): leaf for path, leaf in leaves}
    if {name: (x.shape, x.dtype) for name, x in arrays.items()} != {
        name: (x.shape, x.dtype) for name, x in wanted.items()
    }:
        raise BadInput(f"{path}: of another model or optimizer: choose another place")
    return structure.unflatten(
        jax.device_put(arrays[name], leaf.sharding) for name, leaf in wanted.items()
    )


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
