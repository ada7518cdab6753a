"""The grid of a sweep that names none: how a run is laid out, not what it learns.

The batch stays as it is, for it is part of what a run means; what changes is the mesh, what the
backward pass keeps, and how much of the batch goes through the model at a time.
"""

from biomatrix_jax.config import RunConfig
from biomatrix_jax.plan.sweep.grid import Axis

REMAT = ("full", "attention_saved", "minimal")
ROWS_AT_ONCE = (1, 2)  # of a device
LONG = 32_768  # tokens of a row, from which on it may be split over devices


def default_axes(config: RunConfig, devices: int, slices: int) -> list[Axis]:
    """Axes for `devices` devices in `slices` slices: meshes, remat policies, parts of a batch."""
    return [
        Axis("mesh", tuple(_meshes(config, devices // slices, slices))),
        Axis("compute.remat", REMAT),
        Axis("train.accumulate", _parts(config, devices)),
    ]


def _meshes(config: RunConfig, devices: int, slices: int) -> list[dict[str, int]]:
    """At most five: fsdp alone, then beside 2 or 4 of what else divides the devices of a slice."""
    head_groups = config.model.kv_heads
    beside = [("data", 2)] if devices > 2 else []
    if config.data.row_length >= LONG:
        beside.append(("context", 2))
    beside += [("tensor", size) for size in (2, 4) if head_groups % size == 0]
    outer = {"slice": slices} if slices > 1 else {}
    meshes = [outer | {"fsdp": devices}]
    for axis, size in beside:
        if devices % size == 0:
            # In the order of the configuration: data is outside of fsdp, the others inside.
            pair = {axis: size, "fsdp": devices // size}
            meshes.append(outer | (pair if axis == "data" else dict(reversed(pair.items()))))
    return meshes


def _parts(config: RunConfig, devices: int) -> tuple[int, ...]:
    """Into how many parts a batch is cut so that each device has so many rows of one; where the
    batch does not divide so, as the configuration has it."""
    rows = config.data.batch_rows
    parts = [rows // (devices * n) for n in ROWS_AT_ONCE if rows % (devices * n) == 0]
    return tuple(part for part in parts if part) or (config.train.accumulate,)
