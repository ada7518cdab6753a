"""What a training step needs of a device, from its compiled program."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from biomatrix_jax.chips import Chip, find_chip
from biomatrix_jax.config import RunConfig
from biomatrix_jax.plan import roofline
from biomatrix_jax.plan.hlo.collectives import Collective, Slices
from biomatrix_jax.plan.hlo.costs import Costs, count
from biomatrix_jax.plan.memory import of_compiled, of_refused, own_bytes
from biomatrix_jax.plan.topology import find_devices
from biomatrix_jax.sharding.mesh import make_mesh
from biomatrix_jax.train.flops import flops_per_token
from biomatrix_jax.train.step import make_step


@dataclass(frozen=True)
class Plan:
    """Of one device; bytes, FLOPs, seconds. Of a step that does not fit, so that its compiler
    refuses it, only the memory is known.

    collectives: with "kind", "axes" of the mesh, "group" (devices), "overlapped" (with computing),
      "count" a step, "bytes" (all arrays together, whole), "wire_bytes" (what a device must send)
      and "seconds" (estimated; None where the chip is unknown). The slowest first.
    """

    topology: str
    devices: int  # of the topology
    mesh: dict[str, int]
    argument_bytes: int  # parameters, optimizer state, batch
    temp_bytes: int
    peak_bytes: int  # of all at one time
    fits: bool | None  # None: nobody knows the device's memory
    flops: float | None  # of matrix products, as computed: rematerialised ones again
    hbm_bytes: float | None  # read and written, estimated
    collectives: list[dict[str, Any]]
    estimated_step_seconds: float | None  # see `roofline`; None: unknown chip, or it does not fit
    estimated_mfu: float | None  # of `train.flops.flops_per_token`
    compile_seconds: float
    limit_bytes: int | None  # of memory, what a program may take
    argument_parts: dict[str, int]  # bytes by part of the state, and of the batch; without padding
    output_bytes: int
    alias_bytes: int  # of outputs, what lies where an argument lay
    model_flops: float  # those that MFU counts
    estimated_compute_seconds: float | None  # one instruction after the other, no collectives
    estimated_memory_seconds: float | None  # of all that is read and written, at the bandwidth
    notes: tuple[str, ...]  # what was counted otherwise than it runs

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


def plan(config: RunConfig, topology: str | Sequence[jax.Device]) -> Plan:
    """Compiles the train step of `config` for `topology` and reads the result.

    Args:
      topology: a name as `find_devices` takes it, or devices. A `config.mesh` that does not
        multiply to them is an error.

    Raises:
      BadInput: the topology is unknown, or the run does not go onto its mesh.
    """
    named = isinstance(topology, str)
    devices = find_devices(topology) if named else list(topology)
    mesh = make_mesh(config.mesh, devices)
    step = make_step(config, mesh)
    chip = find_chip(devices[0].device_kind)
    tokens = config.data.batch_rows * config.data.row_length / len(devices)
    model_flops = flops_per_token(config.model, config.data.row_length) * tokens
    lowered = step.train.lower(step.state, step.batch)
    start = time.perf_counter()
    timed = chip if chip and roofline.speeds_known(chip, mesh) else None
    costs = None
    try:
        compiled = lowered.compile()
        seconds = time.perf_counter() - start
        memory = of_compiled(compiled, devices[0])
        speed = timed and roofline.instruction_seconds(timed, config.compute.dtype)
        costs = count(compiled.as_text(), *_program_mesh(mesh), speed)
    except jax.errors.JaxRuntimeError as error:
        seconds = time.perf_counter() - start
        memory = of_refused(error, (step.state, step.batch), step.state, devices[0])
    sent = _sent(timed, mesh, costs)
    step_seconds = roofline.step_seconds(timed, costs, sent) if timed and costs else None
    return Plan(
        topology=topology if named else f"{len(devices)} x {devices[0].device_kind}",
        devices=len(devices),
        mesh=dict(mesh.shape),
        **memory._asdict(),
        argument_parts={
            name: size
            for name, part in {**step.state._asdict(), "batch": step.batch}.items()
            if (size := own_bytes(part))
        },
        fits=memory.fits,
        flops=costs and costs.flops,
        hbm_bytes=costs and costs.hbm_bytes,
        collectives=_collectives(costs, sent),
        estimated_step_seconds=step_seconds,
        estimated_mfu=step_seconds and model_flops / chip.bf16_flops / step_seconds,
        compile_seconds=seconds,
        model_flops=model_flops,
        estimated_compute_seconds=costs.busy if step_seconds else None,
        estimated_memory_seconds=(
            costs.hbm_bytes / chip.hbm_bytes_per_second if step_seconds else None
        ),
        notes=tuple(sorted(costs.unknown)) if costs else (),
    )


def _program_mesh(mesh: Mesh) -> tuple[dict[str, int], Slices]:
    """Axes of the devices that run one program, and the TPU slices that each run one."""
    numbers = np.array([getattr(device, "slice_index", None) or 0 for device in mesh.devices.flat])
    own = np.nonzero((numbers == numbers[0]).reshape(mesh.devices.shape))
    sizes = {axis: len(set(at)) for axis, at in zip(mesh.axis_names, own, strict=True)}
    axes = tuple(axis for axis in mesh.axis_names if sizes[axis] < mesh.shape[axis])
    return sizes, Slices(axes, len(set(numbers)))


def _sent(chip: Chip | None, mesh: Mesh, costs: Costs | None) -> dict[Collective, float]:
    """Seconds of all collectives of a kind together; empty where the chip is unknown."""
    if not chip or not costs:
        return {}
    return {
        one: roofline.collective_seconds(chip, mesh, one, size) for one, size in costs.sizes.items()
    }


def _collectives(costs: Costs | None, sent: dict[Collective, float]) -> list[dict[str, Any]]:
    rows = [
        {
            **one._asdict(),
            "axes": list(one.axes),
            "count": costs.counts[one],
            "bytes": size,
            "wire_bytes": one.wire_bytes(size),
            "seconds": sent.get(one),
        }
        for one, size in (costs.sizes if costs else {}).items()
    ]
    return sorted(rows, key=lambda row: (-(row["seconds"] or 0), -row["wire_bytes"]))
