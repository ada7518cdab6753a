"""The rule table applied: logical axes of an array -> where its pieces lie on a mesh.

Parameters and activations name their dimensions ("embed", "batch"); `ShardingRules` says over which
mesh axes each name is split. Everything that would be wrong or refused late by the compiler is
refused here, with the names that the configuration uses.
"""

import dataclasses
import difflib
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from biomatrix_jax.config import ShardingRules
from biomatrix_jax.errors import BadInput

LogicalAxes = tuple[str, ...]

# Those of `ShardingRules` that parameters have.
PARAMETER_AXES = (
    "layers", "vocab", "embed", "heads", "kv_heads", "head_dim", "ffn", "norm", "head_norm"
)  # fmt: skip


def state_rules(rules: ShardingRules) -> ShardingRules:
    """The rules of the optimizer's state: `rules` with what `rules.state` says otherwise.

    Raises:
      BadInput: `rules.state` names what is no axis of a parameter.
    """
    for logical in rules.state:
        if logical not in PARAMETER_AXES:
            near = difflib.get_close_matches(logical, PARAMETER_AXES, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(PARAMETER_AXES)}"
            raise BadInput(f"rules.state.{logical} is no logical axis of a parameter; {hint}")
    return dataclasses.replace(rules, **rules.state, state={})


def spec(rules: ShardingRules, axes: LogicalAxes, mesh: Mesh | None = None) -> PartitionSpec:
    """The PartitionSpec of an array whose dimensions have the logical names `axes`.

    Args:
      mesh: where given, its axes must include every one that the rules name.

    Raises:
      BadInput: a logical axis without a rule, a mesh axis that does not exist, or one mesh axis
        splitting two dimensions of the array.
    """
    taken: dict[str, str] = {}
    for logical in axes:
        for mesh_axis in _rule(rules, logical):
            if mesh is not None and mesh_axis not in mesh.shape:
                raise BadInput(
                    f"rules.{logical} names the mesh axis {mesh_axis}, which does not exist: "
                    f"the mesh has {', '.join(mesh.shape)}"
                )
            if mesh_axis in taken:
                raise BadInput(
                    f"rules.{taken[mesh_axis]} and rules.{logical} both use the mesh axis "
                    f"{mesh_axis}, but one array has both ({', '.join(axes)}): give it to one only"
                )
            taken[mesh_axis] = logical
    return PartitionSpec(*(_rule(rules, logical) or None for logical in axes))


def parameter_shardings(mesh: Mesh, rules: ShardingRules, state: nnx.State) -> nnx.State:
    """The NamedSharding of each parameter of `state`, in its tree structure.

    Args:
      state: `nnx.state(model, nnx.Param)`; shapes are enough (`nnx.eval_shape`).

    Raises:
      BadInput: as `spec`; also a dimension that its mesh axes do not divide, with its parameter.
    """

    def one(path, variable):
        axes = variable.get_metadata()["axes"]
        name = ".".join(str(getattr(key, "key", key)) for key in path)
        check_divides(mesh, rules, f"parameter {name}", variable.get_value().shape, axes)
        return variable.replace(NamedSharding(mesh, spec(rules, axes, mesh)))

    return jax.tree_util.tree_map_with_path(
        one, state, is_leaf=lambda node: isinstance(node, nnx.Variable)
    )


def with_shardings(tree: Any, mesh: Mesh, rules: ShardingRules) -> Any:
    """Shapes with shardings; what is kept for a parameter lies as the parameter does.

    So do the optimizer's moments; counters lie everywhere.
    """

    def is_variable(node):
        return isinstance(node, nnx.Variable)

    def place(node):
        lies = replicated(mesh)
        if is_variable(node):
            lies = NamedSharding(mesh, spec(rules, node.get_metadata()["axes"], mesh))
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=lies), node)

    return jax.tree.map(place, tree, is_leaf=is_variable)


def check_divides(
    mesh: Mesh,
    rules: ShardingRules,
    what: str,
    shape: tuple[int, ...],
    axes: LogicalAxes,
    way_out: str = "",
) -> None:
    """Raises BadInput, naming `what`, for a dimension that its mesh axes do not divide.

    Args:
      way_out: what to do about it other than changing the mesh; "": the rules that replicate.
    """
    spec(rules, axes, mesh)  # the rules themselves first
    for size, logical in zip(shape, axes, strict=True):
        used = {axis: mesh.shape[axis] for axis in _rule(rules, logical)}
        if size % math.prod(used.values()):
            split = " x ".join(f"{axis}={count}" for axis, count in used.items() if count > 1)
            raise BadInput(
                f"{what}: its dimension {logical} of {size} is not a multiple of the mesh's "
                f"{split}, over which rules.{logical} splits it: change the mesh, or "
                f"{way_out or _replicate(rules, logical)}"
            )


def _replicate(rules: ShardingRules, logical: str) -> str:
    """How every device gets all of an axis that parameters, activations or both have."""
    base = logical.removeprefix("act_")
    names = [name for name in (base, f"act_{base}") if getattr(rules, name, ())]
    return f"set {' and '.join(f'rules.{name}=[]' for name in names)} to have it whole everywhere"


def check_batch(mesh: Mesh, rules: ShardingRules, rows: int, length: int, parts: int = 1) -> None:
    """Raises BadInput where a batch does not divide the mesh.

    Args:
      rows, length: of the batch, in tokens.
      parts: into which it is divided, each computed by the whole mesh.
    """
    if rows % parts:
        raise BadInput(
            f"data.batch_rows ({rows}) is not a multiple of train.accumulate ({parts}), the parts "
            "of a batch: change one of them"
        )
    what = f"a batch of {rows} rows of {length} tokens (data.batch_rows, data.row_length)"
    if parts > 1:
        what = f"each of the train.accumulate={parts} parts of {what}"
    shape, axes = (rows // parts, length), ("batch", "length")
    check_divides(mesh, rules, what, shape, axes, "the batch's size")


def batch_sharding(mesh: Mesh, rules: ShardingRules) -> NamedSharding:
    """Of the [B, T] arrays that a step takes."""
    return NamedSharding(mesh, spec(rules, ("batch", "length"), mesh))


def own_share(batch: jax.ShapeDtypeStruct) -> tuple[int, int]:
    """Which part of a batch's rows this process loads: part `i` of `n` equal ones.

    Where a process's devices do not follow one another in the mesh (in a ring over the torus of
    v5e:4x4 they do not), they hold rows from several places, and `place_rows` puts its part there:
    the batch is the same, its rows in another order. Processes whose devices split the length or
    the model between them hold the same rows, and get the same part.

    Args:
      batch: shape [B, T] and sharding of a batch's arrays.

    Raises:
      BadInput: two processes hold some rows in common, but not all.
    """
    rows = batch.shape[0]
    held: dict[int, set[tuple[int, int]]] = {}
    for device, index in batch.sharding.devices_indices_map(batch.shape).items():
        held.setdefault(device.process_index, set()).add(index[0].indices(rows)[:2])
    parts = sorted({tuple(sorted(blocks)) for blocks in held.values()})
    if sum(map(len, parts)) != len({block for part in parts for block in part}):
        raise BadInput(
            f"the {len(held)} processes' devices share some rows of a batch, but not all: give the "
            "mesh's axes sizes that keep a process's devices together"
        )
    return parts.index(tuple(sorted(held[jax.process_index()]))), len(parts)


def place_rows(batch: jax.ShapeDtypeStruct, rows: np.ndarray) -> jax.Array:
    """This process's rows, its `own_share` [b, T] -> the global array [B, T] that a step takes."""
    # Of its rows in order: those of the device whose rows come first, and so on.
    return jax.make_array_from_process_local_data(batch.sharding, rows, batch.shape)


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def constrain(mesh: Mesh, rules: ShardingRules) -> Callable[[jax.Array, LogicalAxes], jax.Array]:
    """What `Decoder` calls to pin an activation to the mesh. Raises as `check_divides`."""

    def pin(x: jax.Array, axes: LogicalAxes) -> jax.Array:
        check_divides(mesh, rules, f"activation ({', '.join(axes)})", x.shape, axes)
        return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec(rules, axes, mesh)))

    return pin


def _rule(rules: ShardingRules, logical: str) -> tuple[str, ...]:
    try:
        return getattr(rules, logical)
    except AttributeError:
        raise BadInput(f"no sharding rule for the logical axis {logical}") from None
