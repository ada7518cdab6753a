"""The one table of names: our parameters <-> the tensors of `Qwen3ForCausalLM`.

Both directions read it. Our parameters keep the files' orientation, so converting is stacking
layers and splitting the heads' axis; nothing is transposed and no value changes. Shapes come from
the decoder's own declaration: where it has axes (heads, head_dim), the file has their product.
"""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import jax
import numpy as np
from flax import nnx

from biomatrix_jax.config import ModelConfig
from biomatrix_jax.errors import BadInput

NAMES = {
    "embedding.table": "model.embed_tokens.weight",
    "layers.attention_norm.scale": "model.layers.{}.input_layernorm.weight",
    "layers.attention.q": "model.layers.{}.self_attn.q_proj.weight",
    "layers.attention.k": "model.layers.{}.self_attn.k_proj.weight",
    "layers.attention.v": "model.layers.{}.self_attn.v_proj.weight",
    "layers.attention.o": "model.layers.{}.self_attn.o_proj.weight",
    "layers.attention.q_norm.scale": "model.layers.{}.self_attn.q_norm.weight",
    "layers.attention.k_norm.scale": "model.layers.{}.self_attn.k_norm.weight",
    "layers.ffn_norm.scale": "model.layers.{}.post_attention_layernorm.weight",
    "layers.ffn.gate": "model.layers.{}.mlp.gate_proj.weight",
    "layers.ffn.up": "model.layers.{}.mlp.up_proj.weight",
    "layers.ffn.down": "model.layers.{}.mlp.down_proj.weight",
    "final_norm.scale": "model.norm.weight",
    "head.table": "lm_head.weight",
}
HEAD = "lm_head.weight"  # a tied model's files may hold it too, as a copy of the embedding
PREFIX = "model."  # absent where the body was saved without its head's class
LISTED = 6  # keys of each kind that an error message names


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor of the files and the parameter (or layer of one) that it is."""

    name: str
    shape: tuple[int, ...]  # in the file
    path: str
    layer: int | None  # index on the parameter's first axis; None: the whole parameter
    ours: tuple[int, ...]  # shape on our side, without the layer axis


@functools.lru_cache(maxsize=8)
def parameters(config: ModelConfig) -> dict[str, tuple[tuple[int, ...], tuple[str, ...]]]:
    """Each parameter's shape and logical axes, by path, as the decoder declares them."""
    from biomatrix_jax.model import Decoder

    model = nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0)))
    declared = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {
        ".".join(path): (variable.get_value().shape, variable.get_metadata()["axes"])
        for path, variable in declared
    }


@functools.lru_cache(maxsize=8)
def tensors(config: ModelConfig) -> dict[str, tuple[Tensor, ...]]:
    """The file tensors of each parameter, layers in order; the whole model, nothing else."""
    declared = parameters(config)
    if missing := declared.keys() - NAMES.keys():
        raise NotImplementedError(f"no file names for {sorted(missing)}")
    return {path: tuple(_tensors(path, *declared[path])) for path in NAMES if path in declared}


def _tensors(path: str, shape: tuple[int, ...], axes: tuple[str, ...]) -> Iterator[Tensor]:
    if axes[0] != "layers":
        yield Tensor(NAMES[path], _file_shape(shape, axes), path, None, shape)
        return
    file_shape = _file_shape(shape[1:], axes[1:])
    for layer in range(shape[0]):
        yield Tensor(NAMES[path].format(layer), file_shape, path, layer, shape[1:])


def _file_shape(shape: tuple[int, ...], axes: tuple[str, ...]) -> tuple[int, ...]:
    if "head_dim" not in axes:
        return shape
    end = axes.index("head_dim") + 1
    return (*shape[: end - 2], math.prod(shape[end - 2 : end]), *shape[end:])


def check(config: ModelConfig, found: Iterable[tuple[str, tuple[int, ...]]], where: str) -> None:
    """Compares what files hold with what the architecture needs, both ways.

    Args:
      found: (name, shape) of every tensor; a name that two files hold appears twice.
      where: the directory, for the message.

    Raises:
      BadInput: lists missing, unexpected, duplicate and mis-shaped tensors together.
    """
    found = list(found)
    counts, shapes = Counter(name for name, _ in found), dict(found)
    needed = {t.name: t.shape for group in tensors(config).values() for t in group}
    allowed = dict(needed)
    if config.tied_embeddings:
        allowed[HEAD] = needed[NAMES["embedding.table"]]
    report = {
        "missing": [name for name in needed if name not in shapes],
        "unexpected": [name for name in shapes if name not in allowed],
        "duplicate": [name for name, count in counts.items() if count > 1],
        "mis-shaped": [
            f"{name} {_text(shapes[name])} instead of {_text(shape)}"
            for name, shape in allowed.items()
            if name in shapes and tuple(shapes[name]) != tuple(shape)
        ],
    }
    kinds = [f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in report.items() if keys]
    if kinds:
        raise BadInput(f"{where}: tensors do not fit the configuration; {'; '.join(kinds)}")


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Name in our table -> name in the files, where the files leave the `model.` prefix out."""
    names = list(names)
    if any(name.startswith(PREFIX) for name in names):
        return {name: name for name in names}
    return {name if name == HEAD else PREFIX + name: name for name in names}


def stacked(
    config: ModelConfig, files: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each parameter with its path, built from the file tensors that it consists of.

    Args:
      files: host arrays by file name, possibly read only when asked for; already checked.

    Raises:
      BadInput: layers of one parameter are stored in different dtypes.
    """
    for path, group in tensors(config).items():
        if group[0].layer is None:
            yield path, np.asarray(files[group[0].name]).reshape(group[0].ours)
            continue
        first = files[group[0].name]
        whole = np.empty((len(group), *group[0].ours), first.dtype)
        for t in group:
            array = files[t.name]
            if array.dtype != whole.dtype:
                raise BadInput(
                    f"{t.name} is stored as {array.dtype} but {group[0].name} as {whole.dtype}: "
                    "layers are stacked, so all must have one dtype"
                )
            whole[t.layer] = array.reshape(t.ours)
        yield path, whole


def split(
    config: ModelConfig, path: str, parameter: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the file tensors of one parameter with their names; views, nothing is copied."""
    for t in tensors(config)[path]:
        part = parameter if t.layer is None else parameter[t.layer]
        yield t.name, part.reshape(t.shape)


def from_hf_tensors(config: ModelConfig, files: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All parameters by path from all file tensors by name; strict both ways.

    Raises:
      BadInput: see `check` and `stacked`.
    """
    check(config, ((name, np.shape(array)) for name, array in files.items()), "tensors")
    return dict(stacked(config, files))


def to_hf_tensors(config: ModelConfig, flat: Mapping[str, jax.Array]) -> dict[str, np.ndarray]:
    """The inverse of `from_hf_tensors`."""
    declared = tensors(config)
    if flat.keys() != declared.keys():
        raise BadInput(f"parameters do not fit: {_some(sorted(flat.keys() ^ declared.keys()))}")
    parts = (split(config, path, np.asarray(array)) for path, array in flat.items())
    return dict(pair for part in parts for pair in part)


def _text(shape: Iterable[int]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return ", ".join(keys[:LISTED]) + more
