"""The tokenizer's own files: config.json (sizes) and model.safetensors (named tensors)."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np

from biomatrix_jax.config import from_dict
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, read_json
from biomatrix_jax.structure.molecule.vqvae import VQVAEConfig, Weights, shapes

CONFIG_FILE, TENSOR_FILE = "config.json", "model.safetensors"
KIND = "molstructok"


def write(path: str | Path, config: VQVAEConfig, weights: Weights) -> None:
    """Writes a tokenizer directory, atomically.

    Raises:
      BadInput: `path` exists already and is not an empty directory.
    """
    from safetensors.numpy import save_file

    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in flatten(weights).items()}
    with atomic_directory(path) as directory:
        text = json.dumps({"kind": KIND, **dataclasses.asdict(config)}, indent=2)
        (directory / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
        save_file(tensors, directory / TENSOR_FILE)


def read(path: str | Path) -> tuple[VQVAEConfig, Weights]:
    """Reads what `write` wrote, strictly: every tensor, no other, each of its shape and dtype.

    Raises:
      BadInput: a file is missing, damaged, or of another kind; the tensors do not fit the sizes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    for name in (CONFIG_FILE, TENSOR_FILE):
        if not (path / name).is_file():
            raise BadInput(f"{path}: no {name} here; a molecule tokenizer directory holds one")
    config = _read_config(path / CONFIG_FILE)
    try:
        tensors = load_file(path / TENSOR_FILE)
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path / TENSOR_FILE}: cannot be read ({error}); copy it again") from error
    return config, unflatten(tensors, config, str(path / TENSOR_FILE))


def flatten(weights: Weights) -> dict[str, np.ndarray]:
    """The tree as {"encoder.linear_0.weight": array, ...}."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(weights)
    return {_spell(path): np.asarray(leaf) for path, leaf in leaves}


def unflatten(tensors: dict[str, np.ndarray], config: VQVAEConfig, where: str) -> Weights:
    """The tree back from its names, which must be exactly those of this `config`.

    Raises:
      BadInput: a tensor is missing, unexpected, of another shape or dtype, or has values that are
        not finite; names `where`.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(shapes(config))
    names = [_spell(path) for path, _ in leaves]
    missing, extra = set(names) - set(tensors), set(tensors) - set(names)
    if missing or extra:
        faults = [
            f"{kind} {', '.join(sorted(keys))}"
            for kind, keys in (("missing", missing), ("unexpected", extra))
            if keys
        ]
        raise BadInput(f"{where}: {'; '.join(faults)}: these are not weights of this tokenizer")
    for name, (_, leaf) in zip(names, leaves, strict=True):
        found = tensors[name]
        if (found.shape, found.dtype) != (leaf.shape, leaf.dtype):
            raise BadInput(
                f"{where}: {name} is {found.dtype}{list(found.shape)}, but config.json calls for "
                f"{leaf.dtype}{list(leaf.shape)}"
            )
        if not np.isfinite(found).all():
            raise BadInput(f"{where}: {name} has values that are not finite: copy it again")
    return jax.tree_util.tree_unflatten(structure, [tensors[name] for name in names])


def _spell(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _read_config(path: Path) -> VQVAEConfig:
    tree = read_json(path)
    if tree.pop("kind", None) != KIND:
        raise BadInput(f'{path}: not a molecule tokenizer: expected "kind": "{KIND}"')
    # The defaults are for those who train; weights of other sizes would be told to be damaged.
    if missing := [f.name for f in dataclasses.fields(VQVAEConfig) if f.name not in tree]:
        raise BadInput(f"{path}: lacks {', '.join(missing)}: copy it again")
    return from_dict(VQVAEConfig, tree, str(path))
