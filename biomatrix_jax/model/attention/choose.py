"""Which kernel a run's attention is, by name or by what the mesh's devices are."""

import logging
import math
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from biomatrix_jax.config import ComputeConfig, ModelConfig, ShardingRules
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model.attention import devices, reference
from biomatrix_jax.model.attention.contract import Attend
from biomatrix_jax.model.attention.order import balanced_order

log = logging.getLogger("biomatrix_jax")

# Tokens of a row up to which a CPU keeps all scores: those of 16 heads take 64 MiB.
LONGEST_REFERENCE = 1024
_PLATFORMS = {"splash": ("tpu",), "flash": ("gpu", "cuda", "rocm")}  # others run anywhere


class Attention(NamedTuple):
    """A run's kernel, and how its batches must lie for it."""

    name: str
    attend: Attend  # for a `Decoder`
    order: np.ndarray | None  # int32 [T]: where a row's columns lie; None: as they are

    def arrange(self, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """A batch of arrays [B, T] as `attend` expects its columns.

        Nothing else depends on their order, as long as targets and positions are given.
        """
        if self.order is None:
            return batch
        return {name: x[:, self.order] for name, x in batch.items()}


def choose(
    compute: ComputeConfig, model: ModelConfig, mesh: Mesh, rules: ShardingRules, length: int
) -> Attention:
    """The kernel `compute.attention` for packed rows of `length` tokens; says which and why.

    Raises:
      BadInput: a kernel asked for by name that would be wrong or cannot run; a row that does not
        divide over the devices that share it; heads that do not divide (see `devices`).
    """
    context = math.prod(mesh.shape[axis] for axis in devices.sharing_axes(rules, mesh))
    order = balanced_order(length, context)
    platform = mesh.devices.flat[0].platform
    if compute.attention == "auto":
        name, why = automatic(platform, compute, length, context)
    else:
        name, why = compute.attention, "as compute.attention says"
        if refusal := _refusal(name, platform, compute, length, context):
            raise BadInput(
                f"compute.attention={name}: {refusal}; choose another kernel, or auto, which does"
            )
    log.info("attention: %s, %s", name, why)
    attend = devices.over_devices(_kernel(name, rules, mesh, order), mesh, rules, model)
    return Attention(name, attend, order)


def automatic(platform: str, compute: ComputeConfig, length: int, context: int):
    """-> the name of the kernel for devices of a platform, and why."""
    if platform == "cpu":
        long = length > LONGEST_REFERENCE
        name = "tiled" if long else "reference"
        return name, f"on a CPU with rows {'over' if long else 'up to'} {LONGEST_REFERENCE} tokens"
    fused = "splash" if platform == "tpu" else "flash"
    if refusal := _refusal(fused, platform, compute, length, context):
        return "tiled", f"because {fused} cannot be: {refusal}"
    return fused, f"on {platform} devices"


def _refusal(
    name: str, platform: str, compute: ComputeConfig, length: int, context: int
) -> str | None:
    """Why a kernel would be wrong, or cannot run; None where it is right."""
    if name == "cudnn":
        return "it does not keep a packed row's documents apart"
    platforms = _PLATFORMS.get(name, (platform,))
    if platform not in platforms:
        return f"it runs on {platforms[0].upper()}s, and the mesh's devices are of kind {platform}"
    if name == "splash":
        from biomatrix_jax.model.attention import splash

        return splash.refusal(length, context, compute.dtype)
    return None


def _kernel(name: str, rules: ShardingRules, mesh: Mesh, order: np.ndarray | None) -> Attend:
    """A kernel for one device's part. Imports Pallas only where it is used."""
    if name == "splash":
        from biomatrix_jax.model.attention import splash

        axes = devices.sharing_axes(rules, mesh)

        def attend(*args):
            part = jax.lax.axis_index(axes) if axes else 0
            return splash.attend(*args, order=order, part=part)

        return attend
    if name == "flash":
        from biomatrix_jax.model.attention import gpu

        return gpu.flash
    if name == "tiled":
        from biomatrix_jax.model.attention import tiled

        return tiled.attend
    return reference.attend
