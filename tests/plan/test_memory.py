from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan.memory import Memory, of_compiled, of_refused, own_bytes

GIB = 2**30
V5E = SimpleNamespace(platform="tpu", device_kind="TPU v5 lite")


@pytest.fixture
def sharded():
    """Shape and sharding of 4 kB, of which each of eight devices has 512 bytes."""
    mesh = Mesh(np.array(jax.devices()[:8]), ("fsdp",))
    return jax.ShapeDtypeStruct((64, 16), jnp.float32, sharding=NamedSharding(mesh, P("fsdp")))


def test_of_a_compiled_program(sharded):
    """A donated argument's place is its output's: it counts once."""
    step = jax.jit(lambda x, y: (x + 1, y @ y.T), donate_argnums=0)
    memory = of_compiled(step.lower(sharded, sharded).compile(), jax.devices()[0])
    assert memory.argument_bytes == 2 * 512
    assert memory.alias_bytes == 512
    new = memory.output_bytes - memory.alias_bytes
    assert new >= 64 * 64 * 4 / 8
    assert memory.peak_bytes == memory.argument_bytes + memory.temp_bytes + new
    assert (memory.limit_bytes, memory.fits) == (None, None)


def test_a_tpus_compiler_says_the_peak_itself():
    """Its temporaries share memory with donated arguments: the sum would be too much."""
    analysis = SimpleNamespace(
        argument_size_in_bytes=4 * GIB,
        temp_size_in_bytes=14 * GIB,
        output_size_in_bytes=4 * GIB,
        alias_size_in_bytes=4 * GIB,
        peak_memory_in_bytes=15 * GIB,
    )
    memory = of_compiled(SimpleNamespace(memory_analysis=lambda: analysis), V5E)
    assert memory.peak_bytes == 15 * GIB
    assert memory.limit_bytes == 15.75 * GIB
    assert memory.fits is True


@pytest.mark.parametrize(
    "message",
    [
        "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
        "temporaries (18.50G) exceeds available HBM (15.75G).",
        "RESOURCE_EXHAUSTED: Compilation failure: Ran out of memory in memory space hbm. Used "
        "18.50G of 15.75G hbm. Exceeded hbm capacity by 2.75G.\n\nTotal hbm usage >= 18.75G",
    ],
)
def test_of_a_refused_program(sharded, message):
    memory = of_refused(RuntimeError(message), (sharded, sharded), sharded, V5E)
    assert memory == Memory(
        argument_bytes=1024,
        temp_bytes=int(18.5 * GIB) - 1024,
        output_bytes=512,
        alias_bytes=512,
        peak_bytes=int(18.5 * GIB),
        limit_bytes=int(15.75 * GIB),
    )
    assert memory.fits is False


def test_a_refusal_for_other_memory_is_one_line(sharded):
    message = "RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem.\nIt was that of a kernel"
    with pytest.raises(BadInput, match=r"cannot make a program of this step: .* It was that of a"):
        of_refused(RuntimeError(message), sharded, sharded, V5E)


def test_what_is_not_about_memory_is_raised_again(sharded):
    with pytest.raises(RuntimeError, match="INTERNAL: a bug"):
        of_refused(RuntimeError("INTERNAL: a bug"), sharded, sharded, V5E)


def test_a_devices_own_pieces(sharded):
    assert own_bytes({"a": sharded, "b": [sharded, None]}) == 1024


class DescribedH100:
    """What a GPU's description has: no memory of its own to ask about."""

    platform, device_kind = "gpu", "NVIDIA H100 80GB HBM3"

    def memory_stats(self):
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: only for addressable devices")


@pytest.mark.parametrize(("share", "limit"), [(None, 60e9), ("0.92", 73.6e9)])
def test_of_a_gpu_that_is_not_there_a_program_may_take_what_jax_takes(monkeypatch, share, limit):
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    if share:
        monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", share)
    compiled = jax.jit(lambda x: x + 1).lower(jnp.zeros(4)).compile()
    assert of_compiled(compiled, DescribedH100()).limit_bytes == pytest.approx(limit)


def test_a_gpu_at_hand_knows_what_a_program_may_take():
    there = SimpleNamespace(
        platform="gpu", device_kind="NVIDIA H100", memory_stats=lambda: {"bytes_limit": 63 * GIB}
    )
    compiled = jax.jit(lambda x: x + 1).lower(jnp.zeros(4)).compile()
    assert of_compiled(compiled, there).limit_bytes == 63 * GIB
