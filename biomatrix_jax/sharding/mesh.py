"""The devices as a mesh of named axes."""

import contextlib
import dataclasses
import math
from collections.abc import Sequence

import jax
from jax.sharding import AxisType, Mesh

from biomatrix_jax.config import MeshConfig
from biomatrix_jax.errors import BadInput

AXES = tuple(field.name for field in dataclasses.fields(MeshConfig))


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with the axes slice, data, fsdp, context and tensor, over all `devices`.

    The axes are of type `Auto`: the compiler places what the rules leave open.

    Args:
      config: axis sizes; one may be -1 and takes what is left.
      devices: None means all that JAX has.

    Raises:
      BadInput: the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    sizes = [getattr(config, axis) for axis in AXES]
    fixed = math.prod(size for size in sizes if size != -1)
    wanted = ", ".join(f"{axis}={size}" for axis, size in zip(AXES, sizes, strict=True))
    if len(devices) % fixed or (-1 not in sizes and fixed != len(devices)):
        raise BadInput(
            f"mesh {wanted} needs {'a multiple of ' if -1 in sizes else ''}{fixed} devices, but "
            f"there are {len(devices)}: change a size, or set one axis to -1 to take what is left"
        )
    sizes = [len(devices) // fixed if size == -1 else size for size in sizes]
    return jax.make_mesh(sizes, AXES, (AxisType.Auto,) * len(AXES), devices=devices)


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
