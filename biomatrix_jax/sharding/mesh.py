"""The devices as a mesh of named axes."""

import contextlib
import dataclasses
import math
from collections.abc import Sequence

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from biomatrix_jax.config import MeshConfig
from biomatrix_jax.errors import BadInput

AXES = tuple(field.name for field in dataclasses.fields(MeshConfig))


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with the axes slice, data, fsdp, context and tensor, over all `devices`.

    The axes are of type `Auto`: the compiler places what the rules leave open. Inner axes, which
    exchange most, lie on the nearest devices:

      TPU   `slice` goes from slice to slice over the data centre's network, every other axis stays
            on the torus of a slice
      GPU   JAX's global numbering, node after node: outer axes go over nodes, inner ones stay in
            them as far as they fit; any of them may do both
      CPU   device order

    Args:
      config: axis sizes; one may be -1 and takes what is left.
      devices: None means all that JAX has.

    Raises:
      BadInput: the sizes do not multiply to the number of devices, `slice` is not the number of TPU
        slices, or the devices are a part of a slice that is no box.
    """
    devices = list(jax.devices() if devices is None else devices)
    sizes = _fill(config, len(devices))
    granules = _slices(devices)
    if granules and sizes[0] != len(granules):
        raise BadInput(
            f"mesh.slice is {sizes[0]}, but the number of TPU slices is {len(granules)}: write "
            f"mesh.slice={len(granules)}, and let the other axes multiply to the "
            f"{len(granules[0])} devices of a slice"
        )
    inner = [1, *sizes[1:]] if granules else sizes
    try:
        # Axes that share a dimension of the torus have less of its bandwidth each, but without that
        # v6e:4x4 would have no tensor=2.
        placed = [
            mesh_utils.create_device_mesh(inner, granule, allow_split_physical_axes=True)
            for granule in granules or [devices]
        ]
    except (AssertionError, NotImplementedError, ValueError) as error:
        raise BadInput(
            f"JAX finds no place for the mesh {_named(sizes)} on these {len(devices)} "
            f"{devices[0].device_kind} devices ({error}): use whole slices, or other sizes"
        ) from None
    return Mesh(np.concatenate(placed), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _fill(config: MeshConfig, count: int) -> list[int]:
    """The axes' sizes, -1 replaced by what is left of `count` devices."""
    sizes = [getattr(config, axis) for axis in AXES]
    fixed = math.prod(size for size in sizes if size != -1)
    if count % fixed or (-1 not in sizes and fixed != count):
        raise BadInput(
            f"mesh {_named(sizes)} needs {'a multiple of ' if -1 in sizes else ''}{fixed} devices, "
            f"but there are {count}: change a size, or set one axis to -1 to take what is left"
        )
    return [count // fixed if size == -1 else size for size in sizes]


def _slices(devices: Sequence[jax.Device]) -> list[list[jax.Device]]:
    """TPU devices by slice; empty for others, among which `slice` is an axis like any."""
    if devices[0].platform != "tpu":
        return []
    by_index: dict[int, list[jax.Device]] = {}
    for device in devices:
        # A topology of one slice does not number it.
        by_index.setdefault(getattr(device, "slice_index", 0), []).append(device)
    return [by_index[index] for index in sorted(by_index)]


def _named(sizes: Sequence[int]) -> str:
    return ", ".join(f"{axis}={size}" for axis, size in zip(AXES, sizes, strict=True))


def request_cpu_devices(count: int) -> None:
    """Has JAX simulate `count` CPU devices when it starts, without starting it."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", count)


def simulate_cpu_devices(count: int) -> None:
    """Has JAX run on `count` simulated CPU devices. Call it before JAX makes its first array.

    Raises:
      BadInput: JAX has started already with another number of devices.
    """
    with contextlib.suppress(RuntimeError):  # started already: what counts is what is there
        request_cpu_devices(count)
    if len(jax.devices()) != count:
        raise BadInput(
            f"cannot simulate {count} CPU devices: JAX runs on {len(jax.devices())} already; unset "
            f"XLA_FLAGS=--xla_force_host_platform_device_count, or start a new process"
        )
