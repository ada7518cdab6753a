"""The rules of converting: our parameters <-> the tensors of `Qwen3ForCausalLM`, by one table.

Both directions read the table in `names`. Our parameters keep the files' orientation, so converting
is stacking layers and splitting the heads' axis; nothing is transposed and no value changes. Shapes
come from the decoder's own declaration: where it has axes (heads, head_dim), the file has their
product.
"""

import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax
import numpy as np
from flax import nnx

from biomatrix_jax.blocks import Index, blocks
from biomatrix_jax.config import ModelConfig
from biomatrix_jax.convert.names import HEAD, NAMES, TABLE, Prefixes
from biomatrix_jax.errors import BadInput, some


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


def in_file_order(config: ModelConfig, dtypes: Mapping[str, np.dtype] = {}) -> list[Tensor]:
    """All file tensors as a reader goes through the model: embedding, layer after layer, head.

    Args:
      dtypes: of each parameter, by path; the widest then come first, as a weights file wants them.
    """
    groups = list(tensors(config).values())
    layers = zip(*(group for group in groups if group[0].layer is not None), strict=True)
    first, *last = (group[0] for group in groups if group[0].layer is None)
    ordered = [first, *itertools.chain(*layers), *last]
    return sorted(ordered, key=lambda t: -dtypes[t.path].itemsize) if dtypes else ordered


def pieces(tensor: Tensor, itemsize: int) -> Iterator[Index]:
    """Where in its parameter a file tensor lies, piece by piece in the tensor's C order.

    A piece is one block of the parameter, see `biomatrix_jax.blocks`.
    """
    if tensor.layer is None:
        yield from blocks(tensor.ours, itemsize)
        return
    for _, *inner in blocks((1, *tensor.ours), itemsize):
        yield (slice(tensor.layer, tensor.layer + 1), *inner)


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


def check(
    config: ModelConfig,
    found: Iterable[tuple[str, tuple[int, ...], np.dtype]],
    where: str,
    prefixes: Prefixes = TABLE,
) -> None:
    """Compares what files hold with what the architecture needs, both ways.

    Args:
      found: (name, shape, dtype) of every tensor; a name that two files hold appears twice.
      where: the directory, for the message.
      prefixes: what the files' names begin with.

    Raises:
      BadInput: lists missing, unexpected, duplicate and mis-shaped tensors together, and layers
        of one parameter that are stored in different dtypes: they could not be stacked. Where
        there are fewer tensors than layers it says that alone.
    """
    found = list(found)
    if config.layers > len(found):  # then there is no use in spelling out all of them
        raise BadInput(
            f"{where}: tensors do not fit the configuration; it has {config.layers} layers, the "
            f"files hold {len(found)} tensors in all"
        )
    name_of = prefixes.file_name
    groups = [[(name_of(t.name), t.shape) for t in group] for group in tensors(config).values()]
    needed = {name: shape for group in groups for name, shape in group}
    allowed = dict(needed)
    if config.tied_embeddings:
        allowed[name_of(HEAD)] = needed[name_of(NAMES["embedding.table"])]
    dtypes = {name: dtype for name, _, dtype in found}
    mixed = [
        f"{name} {dtypes[name]} instead of {dtypes[group[0][0]]}"
        for group in groups
        for name, _ in group
        if name in dtypes and dtypes[name] != dtypes.get(group[0][0], dtypes[name])
    ]
    shapes = [(name, shape) for name, shape, _ in found]
    _compare(needed, allowed, shapes, {"of another dtype than layer 0": mixed}, where)


def check_ours(
    config: ModelConfig, found: Iterable[tuple[str, tuple[int, ...]]], where: str
) -> None:
    """As `check`, for our own parameters by path."""
    needed = {path: shape for path, (shape, _) in parameters(config).items()}
    _compare(needed, needed, list(found), {}, where)


def _compare(needed, allowed, found, others: dict[str, list[str]], where: str) -> None:
    counts, shapes = Counter(name for name, _ in found), dict(found)
    report = {
        "missing": [name for name in needed if name not in shapes],
        "unexpected": [name for name in shapes if name not in allowed],
        "duplicate": [name for name, count in counts.items() if count > 1],
        "mis-shaped": [
            f"{name} {_text(shapes[name])} instead of {_text(shape)}"
            for name, shape in allowed.items()
            if name in shapes and tuple(shapes[name]) != tuple(shape)
        ],
        **others,
    }
    kinds = [f"{len(keys)} {kind}: {some(keys)}" for kind, keys in report.items() if keys]
    if kinds:
        raise BadInput(f"{where}: tensors do not fit the configuration; {'; '.join(kinds)}")


def stack(group: Sequence[Tensor], arrays: Iterable[np.ndarray]) -> np.ndarray:
    """One parameter from the file tensors that it consists of, given in order."""
    arrays = iter(arrays)
    first = next(arrays)
    if group[0].layer is None:
        return np.asarray(first).reshape(group[0].ours)
    whole = np.empty((len(group), *group[0].ours), first.dtype)
    for t, array in zip(group, itertools.chain([first], arrays), strict=True):
        whole[t.layer] = array.reshape(t.ours)
    return whole


def split(
    config: ModelConfig, path: str, parameter: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the file tensors of one parameter with their names; views, nothing is copied."""
    for t in tensors(config)[path]:
        part = parameter if t.layer is None else parameter[t.layer]
        yield t.name, part.reshape(t.shape)


def from_hf_tensors(config: ModelConfig, files: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All parameters by path from all file tensors by name.

    Raises:
      BadInput: see `check`.
    """
    check(config, ((name, array.shape, array.dtype) for name, array in files.items()), "weights")
    groups = tensors(config).items()
    return {path: stack(group, (files[t.name] for t in group)) for path, group in groups}


def to_hf_tensors(config: ModelConfig, flat: Mapping[str, jax.Array]) -> dict[str, np.ndarray]:
    """The inverse of `from_hf_tensors`."""
    check_ours(config, ((path, array.shape) for path, array in flat.items()), "parameters")
    parts = (split(config, path, np.asarray(array)) for path, array in flat.items())
    return dict(pair for part in parts for pair in part)


def _text(shape: Iterable[int]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
