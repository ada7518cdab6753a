from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from biomatrix_jax.chips import find_chip
from biomatrix_jax.plan.hlo.collectives import Collective
from biomatrix_jax.plan.hlo.costs import Costs
from biomatrix_jax.plan.roofline import (
    collective_seconds,
    instruction_seconds,
    speeds_known,
    step_seconds,
)

V5P, V5E, H100 = map(find_chip, ("TPU v5p", "TPU v5e", "H100"))


def torus(shape, axes, slices=1):
    """Devices of a slice of this shape, x the fastest, in a mesh of these axes."""
    devices = [
        device("tpu", "tfrt", coords=list(place[::-1]), slice_index=number, process_index=0)
        for number in range(slices)
        for place in np.ndindex(*shape[::-1])
    ]
    return mesh_of(devices, axes)


def device(platform, runtime, **about):
    return SimpleNamespace(platform=platform, client=SimpleNamespace(runtime_type=runtime), **about)


def mesh_of(devices, axes):
    array = np.empty(len(devices), object)
    array[:] = devices
    return SimpleNamespace(devices=array.reshape(list(axes.values())), axis_names=tuple(axes))


def gather(axes, group, kind="all-gather"):
    return Collective(kind, axes, group, overlapped=False)


def test_an_instruction_takes_its_products_or_its_bytes():
    seconds = instruction_seconds(V5P, "bfloat16")
    assert seconds(459e12, 1e9) == 1
    assert seconds(1e12, 2 * 2765e9) == 2
    assert instruction_seconds(V5P, "float32")(459e12, 0) == 6
    assert instruction_seconds(H100, "float32")(989e12, 0) == 15
    assert instruction_seconds(H100, "bfloat16")(989e12, 0) == 1


@pytest.mark.parametrize(
    ("chip", "shape", "links"),
    [
        (V5P, (2, 2, 1), 2),  # along two dimensions, neither joined
        (V5P, (2, 2, 2), 3),
        (V5P, (4, 4, 4), 6),  # rings in three dimensions
        (V5P, (2, 2, 4), 4),
        (V5E, (4, 4), 2),  # a v5e's are rings at 16
        (V5E, (16, 16), 4),
    ],
)
def test_a_slice_has_the_links_of_its_torus(chip, shape, links):
    count = int(np.prod(shape))
    seconds = collective_seconds(chip, torus(shape, {"fsdp": count}), gather(("fsdp",), count), 8e9)
    sent = 8e9 * (count - 1) / count
    assert seconds == pytest.approx(sent / (links * chip.link_bytes_per_second))


def test_an_axis_has_the_links_of_its_own_devices():
    mesh = torus((4, 4, 4), {"fsdp": 16, "tensor": 4})  # tensor along x, fsdp along y and z
    one = collective_seconds(V5P, mesh, gather(("tensor",), 4), 4e9)
    assert one == pytest.approx(3e9 / (2 * 100e9))
    other = collective_seconds(V5P, mesh, gather(("fsdp",), 16), 16e9)
    assert other == pytest.approx(15e9 / (4 * 100e9))
    # Half of a ring is a line.
    mesh = torus((4, 4, 4), {"fsdp": 32, "tensor": 2})
    half = collective_seconds(V5P, mesh, gather(("tensor",), 2), 4e9)
    assert half == pytest.approx(2e9 / 100e9)


def test_a_permutation_uses_two_links_at_most():
    mesh = torus((4, 4, 4), {"fsdp": 64})
    one = gather(("fsdp",), 64, "collective-permute")
    assert collective_seconds(V5P, mesh, one, 4e9) == pytest.approx(4e9 / 200e9)


def test_between_slices_goes_what_is_left_after_reducing_within_them():
    mesh = torus((4, 4), {"slice": 2, "fsdp": 16}, slices=2)
    one = gather(("slice", "fsdp"), 32, "all-reduce")
    within = 2 * 31 / 32 * 16e9 / (2 * 50e9)
    across = 2 * 1 / 2 * 1e9 / 3.125e9
    assert collective_seconds(V5E, mesh, one, 16e9) == pytest.approx(within + across)
    only = gather(("slice",), 2, "all-reduce")
    assert collective_seconds(V5E, mesh, only, 1e9) == pytest.approx(across)


def real_gpu(number):
    """A process for each, as Slurm starts them."""
    return device("gpu", "stream_executor", process_index=number, slice_index=number // 8)


def described_gpu(number):
    """Its description says slice 0, whatever the node."""
    place = {"coords": [0, number // 8, number % 8], "slice_index": 0}
    return device("gpu", "compile_only_runtime", process_index=number // 8, **place)


@pytest.mark.parametrize("gpu", [real_gpu, described_gpu])
def test_gpus_of_a_node_have_a_switch_and_nodes_a_network(gpu):
    mesh = mesh_of([gpu(number) for number in range(16)], {"data": 2, "fsdp": 8})
    within = collective_seconds(H100, mesh, gather(("fsdp",), 8), 8e9)
    assert within == pytest.approx(7e9 / 450e9)
    across = collective_seconds(H100, mesh, gather(("data",), 2, "all-reduce"), 1e9)
    assert across == pytest.approx(1e9 / 50e9)


def test_without_a_published_network_one_slice_is_still_known():
    v4 = find_chip("TPU v4")
    assert v4.network_bytes_per_second is None
    assert speeds_known(v4, torus((2, 2, 1), {"fsdp": 4}))
    assert not speeds_known(v4, torus((2, 2), {"slice": 2, "fsdp": 4}, slices=2))
    assert speeds_known(V5E, torus((2, 2), {"slice": 2, "fsdp": 4}, slices=2))


def test_a_step_waits_for_collectives_that_nothing_overlaps():
    waited = gather(("fsdp",), 8)
    beside = waited._replace(overlapped=True)
    costs = Costs(hbm_bytes=2765e9, busy=2.0, counts=Counter({waited: 1, beside: 1}))
    assert step_seconds(V5P, costs, {waited: 0.5, beside: 1.5}) == 2.5
    assert step_seconds(V5P, costs, {waited: 0.5, beside: 4.0}) == 4.5
    assert step_seconds(V5P, Costs(hbm_bytes=2765e9, busy=0.5), {}) == 1.0
