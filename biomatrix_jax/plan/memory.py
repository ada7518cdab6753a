"""Memory of one device that a compiled program takes, or that a refused one would take."""

import contextlib
import math
import os
import re
from typing import Any, NamedTuple

import jax

from biomatrix_jax.chips import find_chip
from biomatrix_jax.errors import BadInput

# What libtpu says of a program that does not fit: all it needs, arguments included, and what it may
# take. The first is of libtpu 0.0.42, the second of those before.
_REFUSED = (
    re.compile(r"total memory required for HLO \w+ \(([\d.]+)([KMGT]?)\).*?\(([\d.]+)([KMGT]?)\)"),
    re.compile(r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?) hbm"),
)

# What JAX takes of a GPU's memory, and who tells it otherwise: the first, and its older name.
_USUAL_SHARE = 0.75
GPU_SHARE = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")


class Memory(NamedTuple):
    """Bytes of one device."""

    argument_bytes: int
    temp_bytes: int
    output_bytes: int
    alias_bytes: int  # of outputs, what lies where an argument lay
    peak_bytes: int
    limit_bytes: int | None  # what a program may take; None: nobody knows

    @property
    def fits(self) -> bool | None:
        return None if self.limit_bytes is None else self.peak_bytes <= self.limit_bytes


def of_compiled(compiled: Any, device: jax.Device) -> Memory:
    """Memory of a compiled program.

    libtpu's `temp_bytes` are the sizes of its allocations, which can share memory with each other
    and with donated arguments; `peak_bytes` is what it holds against the memory there is: it is
    refused exactly where this passes the limit. Elsewhere the peak is the sum of arguments,
    temporaries, and outputs that take the place of no argument.
    """
    analysis = compiled.memory_analysis()
    arguments, temporaries = analysis.argument_size_in_bytes, analysis.temp_size_in_bytes
    outputs, aliased = analysis.output_size_in_bytes, analysis.alias_size_in_bytes
    peak = arguments + temporaries + outputs - aliased
    if device.platform == "tpu":
        peak = analysis.peak_memory_in_bytes
    return Memory(arguments, temporaries, outputs, aliased, peak, _limit(device))


def of_refused(error: Exception, arguments: Any, outputs: Any, device: jax.Device) -> Memory:
    """Memory of a program that the compiler refused because it does not fit.

    Args:
      error: what `compile` raised. One that is not about memory is raised again.
      arguments, outputs: trees of shapes with shardings; what is donated is in both.
    """
    message = " ".join(str(error).split())
    if not message.startswith("RESOURCE_EXHAUSTED"):
        raise error
    said = next((match for form in _REFUSED if (match := form.search(message))), None)
    if said is None:
        raise BadInput(f"the compiler cannot make a program of this step: {message}") from None
    needed, limit = (_bytes(*said.group(first, first + 1)) for first in (1, 3))
    own, kept = own_bytes(arguments), own_bytes(outputs)
    return Memory(own, max(needed - own, 0), kept, kept, needed, _limit(device) or limit)


def own_bytes(tree: Any) -> int:
    """Bytes of one device's pieces of a tree of shapes with shardings, without any padding."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _bytes(digits: str, unit: str) -> int:
    return int(float(digits) * 1024 ** " KMGT".index(unit or " "))


def _limit(device: jax.Device) -> int | None:
    chip = find_chip(device.device_kind)
    if device.platform in ("cpu", "tpu"):
        return int(chip.usable_bytes or chip.hbm_bytes) if chip else None
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # a GPU at hand knows it
        return (device.memory_stats() or {}).get("bytes_limit")
    told = (os.environ[name] for name in GPU_SHARE if name in os.environ)
    return int(float(next(told, _USUAL_SHARE)) * chip.hbm_bytes) if chip else None
