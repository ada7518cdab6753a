"""The planner on the real step: on simulated devices, and by the compiler of TPUs nobody has."""

import dataclasses
import json
import sys

import jax
import pytest

from biomatrix_jax.chips import find_chip
from biomatrix_jax.config import load
from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan import Plan, plan
from biomatrix_jax.train.flops import flops_per_token
from tests.compilers import with_cuda, with_libtpu

KEYS = {
    *("topology", "devices", "mesh", "argument_bytes", "temp_bytes", "peak_bytes", "fits"),
    *("flops", "hbm_bytes", "collectives", "estimated_step_seconds", "estimated_mfu"),
    "compile_seconds",
}
MESH = ["mesh.fsdp=4", "mesh.tensor=2"]


def tiny(*overrides):
    return load("tiny", [*MESH, *overrides])


@pytest.fixture(scope="module")
def on_cpu() -> Plan:
    return plan(tiny("compute.remat=none"), "cpu:8")


@pytest.fixture(scope="module")
def on_tpu() -> Plan:
    return plan(tiny("compute.remat=none"), "v5p:2x2x2")


def expected_flops(config):
    """Of one of eight devices: the model's, and the logits again in the backward pass."""
    tokens = config.data.batch_rows * config.data.row_length
    logits = 2 * config.model.vocab_size * config.model.embed_dim
    return tokens * (flops_per_token(config.model, config.data.row_length) + logits) / 8


def test_json_has_the_keys_that_scripts_read(on_cpu):
    tree = json.loads(json.dumps(on_cpu.as_json()))
    assert set(tree) >= KEYS
    assert (tree["topology"], tree["devices"]) == ("cpu:8", 8)
    assert tree["mesh"] == {"slice": 1, "data": 1, "fsdp": 4, "context": 1, "tensor": 2}
    assert {"kind", "axes", "count", "bytes", "wire_bytes"} <= set(tree["collectives"][0])


def test_flops_are_those_of_the_model(on_cpu):
    assert on_cpu.flops == expected_flops(tiny())
    assert on_cpu.model_flops < on_cpu.flops


def test_arguments_are_parameters_state_and_batch(on_cpu):
    """Parameters in float32, AdamW's two moments of each, six arrays of tokens."""
    assert on_cpu.argument_bytes == sum(on_cpu.argument_parts.values())
    parts = on_cpu.argument_parts
    assert parts["optimizer"] == pytest.approx(2 * parts["params"], rel=0.001)
    assert parts["batch"] == 6 * 4 * 8 * 32 / 4  # over fsdp; tensor splits no tokens
    model = tiny().model
    weights = 2 * 4096 * 32 + 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48)
    norms = 2 * (2 * 32 + 2 * 8) + 32
    assert (model.vocab_size, model.embed_dim, model.ffn_dim) == (4096, 32, 48)
    assert parts["params"] == 4 * (weights / 8 + norms)  # norms are small: whole everywhere


def test_of_a_cpu_no_peaks_are_published(on_cpu):
    assert on_cpu.fits is on_cpu.estimated_step_seconds is on_cpu.estimated_mfu is None
    assert on_cpu.peak_bytes >= on_cpu.argument_bytes + on_cpu.temp_bytes


def test_without_a_published_network_a_step_within_one_node_is_estimated(monkeypatch):
    chip = dataclasses.replace(find_chip("H100"), network_bytes_per_second=None)
    monkeypatch.setattr(sys.modules["biomatrix_jax.plan.plan"], "find_chip", lambda kind: chip)
    planned = plan(load("tiny", ["mesh.fsdp=2", "model.layers=1"]), "cpu:2")
    assert planned.estimated_memory_seconds == planned.hbm_bytes / 3.35e12
    assert planned.estimated_step_seconds >= planned.estimated_memory_seconds > 0


def test_gathered_weights_are_the_layers(on_cpu):
    """Forward and backward each gather a layer's matrices over fsdp, half of them for tensor=2."""
    matrices = 2 * 4 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48) / 2
    gathered = sum(
        one["bytes"]
        for one in on_cpu.collectives
        if one["kind"] == "all-gather" and one["axes"] == ["fsdp"]
    )
    tables = 4 * 4096 * 32 / 2
    assert 2 * matrices <= gathered <= 2 * matrices + 4 * tables


def test_rematerialising_computes_more():
    full = plan(tiny("compute.remat=full", "model.layers=1"), "cpu:8")
    # A layer's forward pass again, but for its last product: no gradient asks for that.
    again = 2 * 32 * 32 + 2 * 32 * 16 + 2 * 32 * 48 + 2 * 32 * 32
    tokens = 8 * 32 / 8
    assert full.flops == expected_flops(tiny("model.layers=1")) + 2 * again * tokens


def test_devices_may_be_given():
    one = plan(load("tiny", ["data.batch_rows=1"]), jax.devices()[:1])
    assert (one.topology, one.devices, one.collectives) == ("1 x cpu", 1, [])


def test_a_mesh_that_does_not_multiply_out():
    with pytest.raises(BadInput, match=r"fsdp=4, context=1, tensor=2 needs 8 devices, but there"):
        plan(tiny(), "cpu:4")


def test_a_batch_that_does_not_divide():
    with pytest.raises(BadInput, match=r"data.batch_rows"):
        plan(tiny("data.batch_rows=6"), "cpu:8")


@with_libtpu
def test_a_tpu_computes_the_same(on_cpu, on_tpu):
    assert on_tpu.flops == pytest.approx(on_cpu.flops, rel=0.03)
    axes = {tuple(one["axes"]) for one in on_tpu.collectives}
    assert {("fsdp",), ("tensor",)} <= axes
    assert on_tpu.argument_parts == on_cpu.argument_parts
    assert on_tpu.argument_bytes >= sum(on_tpu.argument_parts.values())  # it pads small arrays


@with_libtpu
def test_a_tpus_step_fits_and_takes_some_time(on_tpu):
    assert on_tpu.fits is True
    assert on_tpu.argument_bytes < on_tpu.peak_bytes < on_tpu.limit_bytes == int(95.74 * 2**30)
    assert on_tpu.estimated_step_seconds >= on_tpu.estimated_compute_seconds > 0
    achieved = on_tpu.model_flops / on_tpu.estimated_step_seconds
    assert on_tpu.estimated_mfu == pytest.approx(achieved / 459e12)
    assert 0 < on_tpu.estimated_mfu < 1


@with_cuda
def test_a_gpu_computes_the_same(on_cpu):
    """Attention by its kernel: of a row of 512 the blocks up to the diagonal, scores once more."""
    on_gpu = plan(tiny("compute.remat=none"), "h100:8")
    assert on_gpu.notes == ()
    assert on_gpu.fits is True
    assert on_gpu.argument_parts == on_cpu.argument_parts
    assert on_gpu.flops == pytest.approx(on_cpu.flops, rel=0.1)
    assert {("fsdp",), ("tensor",)} <= {tuple(one["axes"]) for one in on_gpu.collectives}
    assert 0 < on_gpu.estimated_mfu < 1


@with_libtpu
@pytest.mark.slow
def test_a_step_that_does_not_fit_is_no_crash():
    config = load("tiny", ["data.batch_rows=262144", "mesh.fsdp=4", "model.embed_dim=2048"])
    refused = plan(config, "v5e:2x2")
    assert refused.fits is False
    assert refused.peak_bytes > refused.limit_bytes == int(15.75 * 2**30)
    assert refused.argument_bytes == pytest.approx(sum(refused.argument_parts.values()))
    assert (refused.flops, refused.collectives, refused.estimated_step_seconds) == (None, [], None)


@with_libtpu
@pytest.mark.slow
def test_slices_sum_gradients_over_the_network():
    """Within a slice fsdp leaves a device a quarter of each gradient; that is what slices sum."""
    config = load("tiny", ["mesh.slice=2", "mesh.fsdp=4"])
    planned = plan(config, "v5e:2x2*2")
    assert planned.devices == 8
    between = [one for one in planned.collectives if one["axes"] == ["slice"]]
    summed = sum(one["bytes"] for one in between if one["kind"] == "all-reduce")
    assert {one["group"] for one in between} == {2}
    assert summed >= planned.argument_parts["params"]
    within = {tuple(one["axes"]) for one in planned.collectives} - {("slice",)}
    assert within == {("fsdp",)}
