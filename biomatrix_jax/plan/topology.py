"""Devices by name, real, simulated or known to the compiler only.

v5p:2x2x2      a TPU slice that nobody has to own: libtpu compiles for it. v5e, v5p, v6e
v5e:4x4*2      two such slices, joined by the data centre's network
h100:16        GPUs that nobody has to own: JAX's CUDA plugin compiles for them. 8 to a node
cpu:8          as many simulated CPU devices
here           the devices at hand
"""

import contextlib
import importlib.util
import math
import os
import re

import jax

from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan import gpus
from biomatrix_jax.sharding.mesh import request_cpu_devices

_TPUS = {"v5e": 256, "v5p": 8960, "v6e": 256}  # chips of the largest slice
_FLAT = ("v5e", "v6e")  # of two dimensions
_SLICE = re.compile(rf"({'|'.join(_TPUS)}):(\d{{1,4}}(?:x\d{{1,4}}){{1,2}})(?:\*([1-9]\d{{0,3}}))?")
_GPUS = re.compile(rf"({'|'.join(gpus.TARGETS)}):([1-9]\d{{0,3}})")
_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")
_HOW = (
    f"write {', '.join(_TPUS)} with the shape of a slice (v5p:2x2x2, v5e:4x4; v5e:4x4*2 for two "
    f"slices), {', '.join(gpus.TARGETS)} with a number (h100:8), cpu:8 for simulated devices "
    "(9999 at most), or here for those at hand"
)


def find_devices(name: str) -> list[jax.Device]:
    """The devices of a topology; of named TPUs and GPUs only descriptions, good for compiling.

    All but `here` have JAX start on the CPU alone, if it has not started.

    Raises:
      BadInput: the name says nothing known, the compiler for it is not installed or refuses the
        shape, or JAX runs on fewer CPU devices already.
    """
    if name == "here":
        return jax.devices()
    if count := re.fullmatch(r"cpu:([1-9]\d{0,3})", name):
        return _cpu_devices(int(count[1]))
    if parts := _SLICE.fullmatch(name):
        return _tpu_devices(name, parts[1], parts[2], int(parts[3] or 1))
    if parts := _GPUS.fullmatch(name):
        return _gpu_devices(name, parts[1], int(parts[2]))
    raise BadInput(f"unknown topology {name!r}: {_HOW}")


def _cpu_devices(count: int) -> list[jax.Device]:
    with contextlib.suppress(RuntimeError):  # started already: what counts is what is there
        request_cpu_devices(count)
    devices = jax.devices("cpu")
    if len(devices) < count:
        raise BadInput(
            f"cpu:{count}: JAX runs on {len(devices)} CPU devices already; unset "
            "XLA_FLAGS=--xla_force_host_platform_device_count, or start a new process"
        )
    return devices[:count]


def _tpu_devices(name: str, chip: str, shape: str, slices: int) -> list[jax.Device]:
    sizes = _sizes(name, chip, shape)
    if importlib.util.find_spec("libtpu") is None and "TPU_LIBRARY_PATH" not in os.environ:
        raise BadInput(
            f"topology {name}: libtpu, its compiler, is missing: pip install 'biomatrix-jax[tpu]'"
        )
    # libtpu looks for the machine that it is on: asks a metadata server, and complains of what it
    # does not find. To a compiler none of it matters. Several compile at a time, too.
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5p-8")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    options = {"num_slices": slices} if slices > 1 else {}
    if math.prod(sizes) == 1:
        options["chips_per_host_bounds"] = [1, 1, 1]  # by default a host has 2 x 2
    try:
        return _described("tpu", f"{chip}:{shape}", **options)
    except _Refused as refused:
        raise BadInput(f"topology {name}: libtpu refuses it: {refused}") from None


def _gpu_devices(name: str, gpu: str, count: int) -> list[jax.Device]:
    nodes = -(-count // gpus.NODE)
    if nodes > 1 and count % gpus.NODE:
        raise BadInput(
            f"topology {name}: more than {gpus.NODE} are whole nodes of {gpus.NODE}: write "
            f"{gpu}:{count // gpus.NODE * gpus.NODE} or {gpu}:{nodes * gpus.NODE}"
        )
    if not any(map(importlib.util.find_spec, _PLUGINS)):
        raise BadInput(
            f"topology {name}: their compiler, JAX's CUDA plugin, is missing: pip install "
            "'biomatrix-jax[cuda12]'"
        )
    shape = f"1x{nodes}x{count // nodes}"  # of partitions, nodes, and GPUs of a node
    try:
        return _described("cuda", gpu, topology=shape, target_config=gpus.TARGETS[gpu])
    except _Refused as refused:
        raise BadInput(
            f"topology {name}: JAX's CUDA plugin does not start ({refused}): install it as "
            "'biomatrix-jax[cuda12]' does"
        ) from None


class _Refused(Exception):
    """A compiler does not start, or knows no such devices; its own reason, on one line."""


def _described(platform: str, name: str, **options) -> list[jax.Device]:
    from jax.experimental import topologies

    with contextlib.suppress(RuntimeError):  # started already, on whatever it is
        jax.config.update("jax_platforms", "cpu")
    try:
        return list(topologies.get_topology_desc(name, platform=platform, **options).devices)
    except (NotImplementedError, jax.errors.JaxRuntimeError) as error:
        reason = " ".join(str(error).split()).removeprefix("INVALID_ARGUMENT: ")
        raise _Refused(reason) from None


def _sizes(name: str, chip: str, shape: str) -> list[int]:
    """Of each dimension. libtpu describes slices that nobody makes; those are refused here."""
    sizes = [int(size) for size in shape.split("x")]
    if 0 in sizes:
        raise BadInput(f"topology {name}: no dimension of a slice can be 0")
    if chip in _FLAT and len(sizes) != 2:
        raise BadInput(f"topology {name}: a slice of {chip} has two dimensions, as {chip}:4x4")
    if math.prod(sizes) > _TPUS[chip]:
        raise BadInput(
            f"topology {name}: a slice of {chip} has at most {_TPUS[chip]} chips; for several "
            "slices write *2 behind the shape"
        )
    return sizes
