"""A protein tokenizer's directory: config.json and model.safetensors, ours or the published ones.

The published checkpoint of training, `checkpoints/best_valid.pth`, is read too, for its weights
alone. One tensor at a time comes into memory, beside the model.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx

from biomatrix_jax import torch_file
from biomatrix_jax.errors import BadInput, some
from biomatrix_jax.files import atomic_directory, inside
from biomatrix_jax.structure.protein import config as configs
from biomatrix_jax.structure.protein import names
from biomatrix_jax.structure.protein.config import LARGE, LITE, ProteinVQVAEConfig
from biomatrix_jax.structure.protein.vqvae import ProteinVQVAE

CONFIG, TENSORS, CHECKPOINT = "config.json", "model.safetensors", "checkpoints/best_valid.pth"
STATE_DICT = "model_state_dict"  # in the checkpoint, beside what training needs


class Stored(NamedTuple):
    """A tensor in a file."""

    dtype: str
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]  # into memory of its own


def read(path: str | os.PathLike) -> tuple[ProteinVQVAEConfig, ProteinVQVAE]:
    """Reads a tokenizer, strictly: every tensor, no other, each of its shape, float32 and finite.

    Dropped are a published model's constants, after a check of their values, and its pairwise
    classification head, which serves a loss of training alone.

    Args:
      path: a directory with config.json and model.safetensors or checkpoints/best_valid.pth; where
        it has both, the former is read. Published weights without a config.json are taken for
        those of Large or Lite, whichever has their codebook.

    Raises:
      BadInput: a file is missing or damaged, or the tensors do not fit the configuration.
    """
    path = Path(path)
    if file := inside(path, TENSORS):
        stored = _in_safetensors(file)
    elif file := inside(path, CHECKPOINT):
        stored = _in_checkpoint(file)
    else:
        raise BadInput(
            f"{path}: no {TENSORS} here, nor {CHECKPOINT}; a protein tokenizer's directory has one"
        )
    where = str(file)
    if others := [f"{name} {x.dtype}" for name, x in stored.items() if x.dtype != "float32"]:
        raise BadInput(f"{where}: {some(others)}: these weights are float32 in every tensor")
    published = any("vqvae." in name for name in stored)
    if published:
        stored = {ours: stored[name] for ours, name in names.canonical(stored, where).items()}
    shapes = {name: tensor.shape for name, tensor in stored.items()}
    config_file = inside(path, CONFIG)
    config = configs.read(config_file) if config_file else _recognised(shapes, path)

    def load(name: str) -> np.ndarray:
        value = stored[name].load()
        if not np.isfinite(value).all():
            raise BadInput(f"{where}: {name} has values that are not finite: copy it again")
        return value

    if not published:
        names.check_ours(config, shapes, where)
        return config, _model(config, load)
    names.check_published(config, shapes, where)
    for name in names.CONSTANTS:
        names.check_constant(name, load(name), where)
    return config, _model(config, lambda parameter: names.from_published(config, parameter, load))


def write(
    path: str | os.PathLike,
    config: ProteinVQVAEConfig,
    model: ProteinVQVAE,
    form: Literal["ours", "published"] = "ours",
) -> None:
    """Writes a tokenizer's directory, atomically.

    Args:
      form: of both files. The published one has the published names, for use with the original
        code, and all its tensors but those of the pairwise classification head.

    Raises:
      BadInput: `path` exists already and is not an empty directory.
    """
    from safetensors.numpy import save_file

    tensors = {
        ".".join(map(str, key)): np.asarray(variable.get_value())
        for key, variable in nnx.to_flat_state(nnx.state(model))
    }
    text = configs.to_json(config)
    if form == "published":
        tensors, text = names.to_published(config, tensors), configs.to_published_json(config)
    with atomic_directory(path) as directory:
        (directory / CONFIG).write_text(text, encoding="utf-8")
        save_file(tensors, directory / TENSORS)


def _model(config: ProteinVQVAEConfig, parameter: Callable[[str], np.ndarray]) -> ProteinVQVAE:
    """The network with the values that `parameter` gives by path."""
    graphdef, shapes = nnx.split(nnx.eval_shape(lambda: ProteinVQVAE(config, nnx.Rngs(0))))
    values = [
        (key, variable.replace(jnp.asarray(parameter(".".join(map(str, key))))))
        for key, variable in nnx.to_flat_state(shapes)
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(values))


def _in_safetensors(file: Path) -> dict[str, Stored]:
    from safetensors import SafetensorError, safe_open

    try:
        opened = safe_open(file, framework="numpy")
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
        return {
            name: Stored(
                {"F32": "float32"}.get(x.get_dtype(), x.get_dtype()),
                tuple(x.get_shape()),
                partial(opened.get_tensor, name),
            )
            for name, x in slices.items()
        }
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{file}: cannot be read ({error}); copy it again") from error


def _in_checkpoint(file: Path) -> dict[str, Stored]:
    return {
        # A copy: the file may go while the model lives.
        name: Stored(entry.dtype.name, entry.shape, lambda entry=entry: np.array(entry.read()))
        for name, entry in torch_file.read_header(file, STATE_DICT).items()
    }


def _recognised(shapes: dict[str, tuple[int, ...]], path: Path) -> ProteinVQVAEConfig:
    codebook = shapes.get(names.BEGINNINGS["quantizer.codebook"])
    for config in (LARGE, LITE):
        if codebook == (1, config.quantizer.codes, config.quantizer.dim):
            return config
    raise BadInput(f"{path}: no {CONFIG} here, and not the codebook of Large or Lite: add one")
