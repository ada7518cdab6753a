"""`bm.load`: a decoder from a Hugging Face directory, or from one of our runs or checkpoints."""

import logging
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from biomatrix_jax.checkpoint import flatten
from biomatrix_jax.config import ComputeConfig, ModelConfig, ShardingRules
from biomatrix_jax.convert.source import Source, check_tokenizer, open_source
from biomatrix_jax.convert.values import cast, find_dtype
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model import Decoder
from biomatrix_jax.model.decoder import Constrain, unconstrained

log = logging.getLogger(__name__)


def load(
    path: str | os.PathLike,
    mesh: jax.sharding.Mesh | None = None,
    rules: ShardingRules | None = None,
    dtype: Any = None,
    revision: str | None = None,
) -> Decoder:
    """Loads a decoder.

    Nothing that is laid out over devices is ever whole in a host's memory: the slice of each
    device is read and goes there, and a process reads those of its own devices.

    Args:
      path: a Hugging Face directory or Hub id, a run (its latest step), a checkpoint directory (its
        latest step) or a step in one.
      mesh: where to lay the parameters out, see `biomatrix_jax.sharding.make_mesh`; None: the
        first device.
      rules: how to lay them out; only with a mesh, None: the default rules.
      dtype: "float32", "bfloat16" or "float16" for parameters and computation; None: parameters as
        stored, computation in the embedding's dtype.
      revision: of a Hub id: branch, tag or commit.

    Raises:
      BadInput: nothing there that can be used; the message names file or tensor.
    """
    if rules is not None and mesh is None:
        raise BadInput("load: rules lay parameters out on a mesh; pass a mesh too")
    target = None if dtype is None else find_dtype(dtype)
    source = open_source(path, revision)
    check_tokenizer(source.files, source.config)
    for note in source.notes:
        log.info(note)
    name = (target or source.specs()["embedding.table"].dtype).name
    compute = ComputeConfig(dtype=name, param_dtype=name)
    constrain: Constrain = unconstrained
    if mesh is not None:
        from biomatrix_jax.sharding import rules as sharding

        rules = rules or ShardingRules()
        constrain = sharding.constrain(mesh, rules)
    state = nnx.state(abstract(source.config, compute, constrain), nnx.Param)
    if mesh is None:
        first = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        places = dict.fromkeys(flatten(state), first)
    else:
        places = flatten(sharding.parameter_shardings(mesh, rules, state))
    arrays = {path: place(source, path, sharding, target) for path, sharding in places.items()}
    return build(source.config, compute, arrays, constrain)


def place(
    source: Source, path: str, sharding: jax.sharding.Sharding, dtype: np.dtype | None = None
) -> jax.Array:
    """A parameter on devices. Each process reads what its own devices hold, one device's slice
    after the other, and slices that several devices hold once.

    Args:
      dtype: to cast to; None: as stored.

    Raises:
      BadInput: as `cast`.
    """
    spec = source.specs()[path]
    holders: dict[tuple, list[jax.Device]] = {}
    for device, index in sharding.addressable_devices_indices_map(spec.shape).items():
        ends = tuple(s.indices(size)[:2] for s, size in zip(index, spec.shape, strict=True))
        holders.setdefault(ends, []).append(device)
    pieces = []
    for ends, devices in holders.items():
        read = source.read(path, tuple(slice(*pair) for pair in ends))
        piece = cast(read, dtype or read.dtype, path)
        if not piece.flags.owndata:
            # The CPU's devices keep memory that they are given, and a file's may change.
            piece = piece.copy()
        pieces += [jax.device_put(piece, device) for device in devices]
    return jax.make_array_from_single_device_arrays(spec.shape, sharding, pieces)


def build(
    config: ModelConfig,
    compute: ComputeConfig,
    flat: Mapping[str, jax.Array | np.ndarray],
    constrain: Constrain = unconstrained,
) -> Decoder:
    """A decoder around existing arrays; nothing is initialised.

    Args:
      flat: every parameter by path ("layers.attention.q"), in the shape that the decoder declares.
    """
    graph, state = nnx.split(abstract(config, compute, constrain))
    arrays = [jnp.asarray(flat[path]) for path in flatten(state)]
    return nnx.merge(graph, jax.tree.unflatten(jax.tree.structure(state), arrays))


def abstract(
    config: ModelConfig, compute: ComputeConfig, constrain: Constrain = unconstrained
) -> Decoder:
    """A decoder whose parameters are shapes and dtypes only."""
    return nnx.eval_shape(lambda: Decoder(config, compute, rngs=nnx.Rngs(0), constrain=constrain))
