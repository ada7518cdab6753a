import importlib.util
import re

import jax
import pytest
from click.testing import CliRunner
from jax.experimental import topologies

from biomatrix_jax.chips import find_chip
from biomatrix_jax.cli import biomatrix
from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan.topology import find_devices
from tests.compilers import with_cuda, with_libtpu


def test_simulated_devices_are_the_first_of_those_there():
    assert find_devices("cpu:4") == jax.devices()[:4]


def test_devices_at_hand():
    assert find_devices("here") == jax.devices()


def test_more_simulated_devices_than_there_are():
    with pytest.raises(BadInput, match="cpu:64: JAX runs on 8 CPU devices already"):
        find_devices("cpu:64")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "v9:2x2",
        "v5p",
        "v5p:8",
        "v5p:2x2x2x2",
        "v5e:4x4*0",
        "cpu",
        "cpu:0",
        "cpu:99999999999",
        "v5p:99999x2x2",
        "H100:8",
        "h100:0",
        "h100:8*2",
        "v5e:4x4 ",
    ],
)
def test_an_unknown_topology_says_how_to_write_one(name):
    with pytest.raises(
        BadInput, match=r"unknown topology .*: write v5e, v5p, v6e .*v5p:2x2x2.*h100:8"
    ):
        find_devices(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v5e:0x4", "no dimension of a slice can be 0$"),
        ("v5p:2x2x0", "no dimension of a slice can be 0$"),
        ("v5e:2x2x2", "a slice of v5e has two dimensions, as v5e:4x4$"),
        ("v6e:4x4x1*2", "a slice of v6e has two dimensions, as v6e:4x4$"),
        ("v6e:16x32", "a slice of v6e has at most 256 chips; for several slices write "),
        ("v5p:24x24x24", "a slice of v5p has at most 8960 chips"),
    ],
)
def test_a_slice_that_nobody_makes(name, message):
    with pytest.raises(BadInput, match=rf"^topology {re.escape(name)}: {message}"):
        find_devices(name)


@pytest.mark.parametrize("option", ["--cpu-devices", "--processes", "--process-id"])
def test_training_takes_no_more_devices_or_processes_either(option):
    arguments = ["train", "tiny", "--out", "run", option, "99999999999"]
    result = CliRunner().invoke(biomatrix, arguments)
    assert result.exit_code == 2
    assert "is not in the range" in result.stderr


def test_without_libtpu(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("TPU_LIBRARY_PATH", raising=False)
    with pytest.raises(BadInput, match=r"libtpu.* is missing: pip install 'biomatrix-jax\[tpu\]'"):
        find_devices("v5p:2x2x2")


@with_libtpu
@pytest.mark.parametrize(
    ("name", "kind", "count", "slices"),
    [
        ("v5p:2x2x2", "TPU v5", 8, {0}),
        ("v5e:4x4", "TPU v5 lite", 16, {0}),
        ("v6e:1x1", "TPU v6 lite", 1, {0}),
        ("v6e:2x4*2", "TPU v6 lite", 16, {0, 1}),
    ],
)
def test_a_tpu_that_nobody_has(name, kind, count, slices):
    devices = find_devices(name)
    assert len(devices) == count
    assert {device.device_kind for device in devices} == {kind}
    assert {getattr(device, "slice_index", None) or 0 for device in devices} == slices
    assert jax.default_backend() == "cpu"


@with_libtpu
def test_a_shape_that_no_slice_has():
    with pytest.raises(BadInput, match=r"topology v5p:3x2x2: libtpu refuses it: .*not divisible"):
        find_devices("v5p:3x2x2")


def test_without_the_cuda_plugin(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"CUDA plugin, is missing: .*'biomatrix-jax\[cuda12\]'"):
        find_devices("h100:8")


def test_nodes_are_whole():
    with pytest.raises(BadInput, match=r"^topology h100:12: .*: write h100:8 or h100:16$"):
        find_devices("h100:12")


def test_a_cuda_plugin_that_does_not_start(monkeypatch):
    def refuse(*_, **__):
        raise NotImplementedError("topology not implemented for cuda")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(topologies, "get_topology_desc", refuse)
    with pytest.raises(BadInput, match=r"h100:8: JAX's CUDA plugin does not start \(topology not"):
        find_devices("h100:8")


@with_cuda
@pytest.mark.parametrize(("count", "nodes"), [(1, 1), (4, 1), (8, 1), (16, 2), (64, 8)])
def test_a_gpu_that_nobody_has(count, nodes):
    devices = find_devices(f"h100:{count}")
    assert [device.process_index for device in devices] == [
        n * nodes // count for n in range(count)
    ]
    assert devices[0].client.runtime_type == "compile_only_runtime"  # by which `roofline` knows it
    assert {find_chip(device.device_kind).name for device in devices} == {"H100"}
    assert jax.default_backend() == "cpu"
