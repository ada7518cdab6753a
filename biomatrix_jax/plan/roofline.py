"""How long a step takes at the published peaks of its chips: an estimate, and how it comes about.

Each instruction takes as long as its matrix products at the bfloat16 peak, or as long as its bytes
at the bandwidth of main memory, whichever is longer, and one comes after the other. Products of
float32 ask for all of its digits (`Precision.HIGHEST`): on a TPU each is six of bfloat16, on a GPU
it is computed outside of the tensor cores, at about a fifteenth of the peak (H100: 67 of 989
TFLOP/s). Collectives that the program starts and later waits for overlap with all of that; the
others do not:

  step = max(instructions, bytes of all / bandwidth, overlapped collectives) + other collectives

A collective takes as long as the bytes that a device must send (`Collective.wire_bytes`) at the
speed of the links that its group of devices has: on a torus two for each dimension that the group
fills and whose ends are joined, one for each other that it extends along; otherwise the links to
the switch. Between slices or nodes it is the network, over which only goes what each device has
left after reducing (or before gathering) within its own. Latencies, vector units, and links shared
by several collectives at a time are not in it.
"""

import math
from collections.abc import Callable

import numpy as np
from jax.sharding import Mesh

from biomatrix_jax.chips import Chip
from biomatrix_jax.plan.hlo.collectives import Collective
from biomatrix_jax.plan.hlo.costs import Costs

_FLOAT32_ON_TPU, _FLOAT32_ON_GPU = 6, 15  # times as long as of bfloat16


def instruction_seconds(chip: Chip, dtype: str) -> Callable[[float, float], float]:
    """-> (FLOPs, bytes) of an instruction -> seconds."""
    passes = 1
    if dtype == "float32":
        passes = _FLOAT32_ON_TPU if chip.torus else _FLOAT32_ON_GPU

    def seconds(flops: float, hbm_bytes: float) -> float:
        return max(flops * passes / chip.bf16_flops, hbm_bytes / chip.hbm_bytes_per_second)

    return seconds


def speeds_known(chip: Chip, mesh: Mesh) -> bool:
    """Whether the chip's figures say how fast all devices of the mesh reach each other."""
    one_part = len({_part(device) for device in mesh.devices.flat}) == 1
    return one_part or chip.network_bytes_per_second is not None


def collective_seconds(chip: Chip, mesh: Mesh, one: Collective, size: float) -> float:
    """Of all collectives like `one` together, whose arrays have `size` bytes together."""
    if not one.axes:
        return 0.0
    group = _group(mesh, one.axes)
    parts = len({_part(device) for device in group})
    wire, inside = one.wire_bytes(size), max(one.group // parts, 1)
    seconds = 0.0
    if inside > 1:
        links = _links(chip, [device for device in group if _part(device) == _part(group[0])], mesh)
        if one.kind == "collective-permute":
            links = min(links, 2)  # to a neighbour, some in one direction, some in the other
        seconds += wire / (links * chip.link_bytes_per_second)
    if parts > 1:
        across = one._replace(group=parts).wire_bytes(size / inside)
        seconds += across / chip.network_bytes_per_second
    return seconds


def step_seconds(chip: Chip, costs: Costs, sent: dict[Collective, float]) -> float:
    """Args: sent: the seconds of each collective."""
    overlapped = math.fsum(seconds for one, seconds in sent.items() if one.overlapped)
    others = math.fsum(seconds for one, seconds in sent.items() if not one.overlapped)
    return max(costs.busy, costs.hbm_bytes / chip.hbm_bytes_per_second, overlapped) + others


def _group(mesh: Mesh, axes: tuple[str, ...]) -> list:
    """The first device and those that differ from it along `axes`."""
    index = tuple(slice(None) if axis in axes else 0 for axis in mesh.axis_names)
    return list(mesh.devices[index].flat)


def _part(device) -> int:
    """Of the machine, what is joined by faster links than the network: a TPU slice, a GPU node."""
    if (device.platform, device.client.runtime_type) == ("gpu", "compile_only_runtime"):
        return device.process_index  # of described ones, which all say slice 0
    own_slice = getattr(device, "slice_index", None)
    if own_slice is not None:
        return own_slice
    return 0 if hasattr(device, "coords") else device.process_index


def _links(chip: Chip, group: list, mesh: Mesh) -> int:
    if not chip.torus:
        return 1
    coords = np.array([device.coords for device in group])
    extents = np.array([device.coords for device in mesh.devices.flat]).max(axis=0) + 1
    links = 0
    for along, extent in zip(coords.T, extents, strict=True):
        members = len(set(along.tolist()))
        if members > 1:
            joined = members == extent and extent % chip.ring == 0
            links += 2 if joined else 1
    return max(links, 1)  # the cores of one chip
