"""A kernel over the devices of a mesh: each has its rows, its heads and its part of their queries.

Only keys and values travel: what shares a row gathers them, and their gradients are summed on the
way back to where they came from. Scores never leave the device that has the queries.
"""

import math

import jax
from jax.sharding import Mesh, PartitionSpec

from biomatrix_jax.config import ModelConfig, ShardingRules
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model.attention.contract import Attend, Rows
from biomatrix_jax.model.attention.order import in_row_order
from biomatrix_jax.sharding.rules import check_divides, spec


def sharing_axes(rules: ShardingRules, mesh: Mesh) -> tuple[str, ...]:
    """The mesh axes of more than one device whose devices share rows."""
    return tuple(axis for axis in rules.length if mesh.shape[axis] > 1)


def over_devices(attend: Attend, mesh: Mesh, rules: ShardingRules, model: ModelConfig) -> Attend:
    """The kernel for whole arrays on a mesh; `attend` sees one device's part of them.

    A device's queries are a part of their row in `balanced_order`; the keys are those of the whole
    row, in the row's own order. T and S are equal.

    Raises:
      BadInput: the heads do not divide, or a device's query heads share key heads unevenly.
    """
    queries = ("batch", "length", "act_heads", "head_dim")
    keys = ("batch", "length", "act_kv_heads", "head_dim")
    q_spec, k_spec = spec(rules, queries, mesh), spec(rules, keys, mesh)
    tokens = PartitionSpec(*q_spec[:2])
    sharing = sharing_axes(rules, mesh)
    context = math.prod(mesh.shape[axis] for axis in sharing)
    own_keys = _own_keys(mesh, rules, model)

    def local(q_btnh, k_bskh, v_bskh, segments_bt, positions_bt):
        def whole_row(x):
            if not sharing:
                return x
            return in_row_order(jax.lax.all_gather(x, sharing, axis=1, tiled=True), context)

        rows = Rows(segments_bt, positions_bt, whole_row(segments_bt), whole_row(positions_bt))
        return attend(q_btnh, whole_row(own_keys(k_bskh)), whole_row(own_keys(v_bskh)), rows)

    mapped = jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(q_spec, k_spec, k_spec, tokens, tokens),
        out_specs=q_spec,
        check_vma=False,  # which Pallas' kernels do not say
    )
    return lambda q, k, v, rows: mapped(q, k, v, rows.q_segments, rows.q_positions)


def _own_keys(mesh: Mesh, rules: ShardingRules, model: ModelConfig):
    """A function from the key heads that a device is given to those that its query heads use."""
    check_divides(mesh, rules, "attention", (model.heads,), ("act_heads",))
    check_divides(mesh, rules, "attention", (model.kv_heads,), ("act_kv_heads",))
    if rules.act_heads == rules.act_kv_heads:
        return lambda x: x
    if rules.act_kv_heads:
        raise BadInput(
            f"rules.act_kv_heads ({', '.join(rules.act_kv_heads)}) must be what rules.act_heads is "
            f"({', '.join(rules.act_heads) or 'nothing'}), or empty: every device has all keys"
        )
    heads = model.heads // math.prod(mesh.shape[axis] for axis in rules.act_heads)
    group = model.heads // model.kv_heads
    if heads % group and group % heads:
        raise BadInput(
            f"{heads} query heads a device do not share key heads evenly: {group} use one; "
            "split heads (rules.act_heads) over fewer devices"
        )

    def own(x_bskh):
        first = jax.lax.axis_index(rules.act_heads) * heads // group
        return jax.lax.dynamic_slice_in_dim(x_bskh, first, max(heads // group, 1), axis=2)

    return own
