"""A total's program, as a TPU's compiler takes it: over a slice's devices, not over any few."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from biomatrix_jax import processes
from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan.topology import find_devices


def test_a_total_compiles_for_a_slice_of_several_hosts(monkeypatch):
    pytest.importorskip("libtpu")
    devices = find_devices("v5e:4x4")
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    total = processes.Total()
    numbers = jax.ShapeDtypeStruct((16, 3, 6), jnp.int32, sharding=total._numbers)
    compiled = total._sum.lower(numbers).compile()
    assert compiled.memory_analysis() is not None
    few = Mesh(devices[::4], ("process",))
    numbers = jax.ShapeDtypeStruct(
        (4,), jnp.int32, sharding=NamedSharding(few, PartitionSpec("process"))
    )
    whole = NamedSharding(few, PartitionSpec())
    with pytest.raises(jax.errors.JaxRuntimeError):  # why it is so
        jax.jit(jnp.sum, out_shardings=whole).lower(numbers).compile()


def test_what_processes_see_alike(monkeypatch):
    import numpy as np
    from jax.experimental import multihost_utils

    processes.check_alike("data", 1)  # alone
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "process_allgather", lambda x: np.stack([x, x]))
    processes.check_alike("data", {"a": 1})
    monkeypatch.setattr(multihost_utils, "process_allgather", lambda x: np.stack([x, x + 1]))
    with pytest.raises(BadInput, match="process 1 sees another data than process 0"):
        processes.check_alike("data", {"a": 1})
