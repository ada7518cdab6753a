"""What a training step needs of a device, from its compiled program."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from biomatrix_jax.chips import find_chip
from biomatrix_jax.config import RunConfig
from biomatrix_jax.plan.topology import find_devices
from biomatrix_jax.sharding.mesh import make_mesh
from biomatrix_jax.train.step import make_step


@dataclass(frozen=True)
class Plan:
    """Of one device, unless it says otherwise; bytes, FLOPs, seconds."""

    topology: str
    devices: int  # of the topology
    mesh: dict[str, int]
    argument_bytes: int
    temp_bytes: int
    peak_bytes: int
    fits: bool | None  # None: the device's memory is not known
    flops: float
    hbm_bytes: float
    collectives: list[dict[str, Any]]
    estimated_step_seconds: float | None
    estimated_mfu: float | None
    compile_seconds: float
    limit_bytes: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values, JSON's keys."""
        return dataclasses.asdict(self)


def plan(config: RunConfig, topology: str | Sequence[jax.Device]) -> Plan:
    """Compiles the train step of `config` for `topology` and reads the result.

    Args:
      topology: a name as `find_devices` takes it, or devices.

    Raises:
      BadInput: the topology is unknown, or the run does not fit on its mesh's shape.
    """
    named = isinstance(topology, str)
    devices = find_devices(topology) if named else list(topology)
    name = topology if named else f"{len(devices)} x {devices[0].device_kind}"
    mesh = make_mesh(config.mesh, devices)
    step = make_step(config, mesh)
    lowered = step.train.lower(step.state, step.batch)
    start = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - start
    memory = compiled.memory_analysis()
    arguments, temporaries = memory.argument_size_in_bytes, memory.temp_size_in_bytes
    peak = arguments + temporaries + memory.output_size_in_bytes - memory.alias_size_in_bytes
    chip = find_chip(devices[0].device_kind)
    limit = chip and int(chip.usable_bytes or chip.hbm_bytes)
    return Plan(
        topology=name,
        devices=len(devices),
        mesh=dict(mesh.shape),
        argument_bytes=arguments,
        temp_bytes=temporaries,
        peak_bytes=peak,
        fits=limit and peak <= limit,
        flops=0.0,
        hbm_bytes=0.0,
        collectives=[],
        estimated_step_seconds=None,
        estimated_mfu=None,
        compile_seconds=seconds,
        limit_bytes=limit,
    )
