import os

import pytest

from biomatrix_jax import machine


def test_cores_are_those_this_process_may_use():
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)


def test_memory_of_a_process_is_seen():
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("the system does not tell")
    before = machine.resident_memory(os.getpid())
    held = bytearray(os.urandom(1)) * (64 << 20)
    assert machine.resident_memory(os.getpid()) - before > 0.9 * len(held)
    assert machine.resident_memory(2**31 - 1) == 0


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    return tmp_path


def test_free_memory_respects_the_limit_of_a_container(cgroup):
    free = machine.free_memory()
    if free is None:
        pytest.skip("the system does not tell")
    (cgroup / "memory.max").write_text("1000000\n")
    (cgroup / "memory.current").write_text("700000\n")
    assert machine.free_memory() == 300_000
    (cgroup / "memory.stat").write_text("anon 1\ninactive_file 50000\n")
    assert machine.free_memory() == 350_000  # files' pages give way


def test_a_container_without_a_limit_has_the_machine_s_memory(cgroup):
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text("700000\n")
    free = machine.free_memory()
    assert free is None or free > 10_000_000
