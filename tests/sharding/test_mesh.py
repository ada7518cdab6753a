from dataclasses import dataclass
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from biomatrix_jax.config import MeshConfig, ShardingRules
from biomatrix_jax.errors import BadInput
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.sharding.rules import batch_sharding, own_share
from tests import processes


@dataclass(frozen=True)
class Device:
    """What the layout reads of a device."""

    id: int
    process_index: int
    slice_index: int = 0
    platform: str = "gpu"
    device_kind: str = "H100"


def test_minus_one_takes_what_is_left():
    mesh = make_mesh(MeshConfig(data=2, fsdp=-1, tensor=2))
    assert dict(mesh.shape) == {"slice": 1, "data": 2, "fsdp": 2, "context": 1, "tensor": 2}
    assert set(mesh.axis_types) == {AxisType.Auto}


@pytest.mark.parametrize(
    "config", [MeshConfig(fsdp=4, tensor=2), MeshConfig(slice=4, fsdp=1, context=2)]
)
def test_every_device_is_used_once_and_inner_axes_are_neighbours(config):
    """Simulated devices have no slices: any size of that axis will do."""
    mesh = make_mesh(config)
    assert [d.id for d in mesh.devices.flat] == [d.id for d in jax.devices()]


def test_a_part_of_the_devices_can_be_given():
    assert make_mesh(MeshConfig(), jax.devices()[:1]).size == 1


@pytest.mark.parametrize(
    "config",
    [MeshConfig(fsdp=2, tensor=2), MeshConfig(fsdp=-1, tensor=3), MeshConfig(fsdp=8, tensor=2)],
)
def test_sizes_that_do_not_multiply_out_are_refused(config):
    with pytest.raises(BadInput, match=rf"tensor={config.tensor} needs .*there are 8") as error:
        make_mesh(config)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("topology", ["v5e:2x2*2", "v5p:2x2x2*3"])
def test_only_the_slice_axis_leaves_a_tpu_slice(tpu_devices, topology):
    devices = tpu_devices(topology)
    slices = 1 + max(d.slice_index for d in devices)
    shuffled = [devices[i] for i in np.random.default_rng(0).permutation(len(devices))]
    for sizes in ({"fsdp": -1}, {"fsdp": 2, "tensor": -1}, {"data": 2, "fsdp": 1, "context": -1}):
        mesh = make_mesh(MeshConfig(slice=slices, **sizes), shuffled)
        assert set(mesh.devices.flat) == set(devices)
        for index, part in enumerate(mesh.devices):
            assert {d.slice_index for d in part.flat} == {index}


def test_a_ring_of_neighbours_on_the_torus(tpu_devices):
    mesh = make_mesh(MeshConfig(fsdp=16), tpu_devices("v5e:4x4"))
    places = np.array([d.coords for d in mesh.devices.flat])
    steps = np.abs(places - np.roll(places, 1, axis=0)).sum(axis=1)
    assert np.all(steps == 1)


@pytest.mark.parametrize(
    "sizes", [{"tensor": 2}, {"context": 2, "tensor": 2}, {"tensor": 8}], ids=str
)
@pytest.mark.parametrize("topology", ["v6e:4x4", "v5p:4x4x4"])
def test_axes_may_share_a_dimension_of_the_torus(tpu_devices, topology, sizes):
    devices = tpu_devices(topology)
    mesh = make_mesh(MeshConfig(**sizes), devices)
    assert set(mesh.devices.flat) == set(devices)
    pairs = mesh.devices.reshape(-1, sizes["tensor"])[:, :2]
    assert all(sum(abs(np.subtract(a.coords, b.coords))) == 1 for a, b in pairs)


@pytest.mark.parametrize(
    ("topology", "config", "message"),
    [
        ("v5e:2x2*2", MeshConfig(), "mesh.slice is 1, but the number of TPU slices is 2"),
        ("v5e:2x2*2", MeshConfig(slice=4), "mesh.slice is 4, .* is 2: write mesh.slice=2"),
        ("v5e:2x2*2", MeshConfig(slice=-1, fsdp=1), "mesh.slice is 8, .* multiply to the 4"),
        ("v5e:2x2", MeshConfig(slice=2), "mesh.slice is 2, .* is 1: write mesh.slice=1"),
        ("v5e:2x2*2", MeshConfig(slice=2, fsdp=3), "needs 6 devices, but there are 8"),
    ],
)
def test_a_slice_axis_that_is_not_the_slices(tpu_devices, topology, config, message):
    with pytest.raises(BadInput, match=message) as error:
        make_mesh(config, tpu_devices(topology))
    assert "\n" not in str(error.value)


def test_a_part_of_a_tpu_slice_that_is_no_box(tpu_devices):
    with pytest.raises(BadInput, match=r"finds no place .*fsdp=3.* 3 TPU v5 lite") as error:
        make_mesh(MeshConfig(), tpu_devices("v5e:4x4")[:3])
    assert "\n" not in str(error.value)


def test_on_gpus_inner_axes_stay_in_a_node():
    """Processes may be numbered across nodes; JAX's numbers of devices are not."""
    gpus = [Device(id, process_index=id % 4, slice_index=id // 4) for id in range(16)]
    devices = sorted(gpus, key=lambda d: (d.process_index, d.id))
    placed = make_mesh(MeshConfig(slice=2, data=2, fsdp=2, tensor=2), devices).devices
    assert [d.id for d in placed.flat] == [*range(16)]
    make_mesh(MeshConfig(fsdp=16), devices)  # one axis may go over all nodes


@pytest.mark.parametrize(
    ("topology", "sizes", "parts"),
    [
        ("v5p:2x2x2", {}, 2),  # a ring through both processes, and back
        ("v5e:4x4", {}, 4),
        ("v5e:4x4", {"data": 4, "fsdp": 2, "tensor": 2}, 4),
        ("v6e:4x4", {"tensor": 2}, 4),
        ("v5e:4x4", {"fsdp": 1, "tensor": 16}, 1),
        ("v5p:2x2x2*2", {"slice": 2}, 4),
        ("v5p:2x2x2*2", {"slice": 2, "fsdp": 1, "tensor": 8}, 2),
    ],
)
def test_processes_share_the_rows_of_a_batch(tpu_devices, monkeypatch, topology, sizes, parts):
    mesh = make_mesh(MeshConfig(**sizes), tpu_devices(topology))
    lies = batch_sharding(mesh, ShardingRules())
    batch = jax.ShapeDtypeStruct((32, 64), np.int32, sharding=lies)
    shares = []
    for process in range(1 + max(d.process_index for d in mesh.devices.flat)):
        monkeypatch.setattr(jax, "process_index", lambda p=process: p)
        shares.append(own_share(batch))
    assert {count for _, count in shares} == {parts}
    assert {index for index, _ in shares} == set(range(parts))


def test_processes_that_share_some_rows_but_not_all_are_refused():
    places = {Device(0, 0): 0, Device(1, 0): 1, Device(2, 1): 1, Device(3, 1): 0, Device(4, 2): 1}
    sharding = SimpleNamespace(
        devices_indices_map=lambda shape: {d: (slice(4 * i, 4 * i + 4),) for d, i in places.items()}
    )
    with pytest.raises(BadInput, match="the 3 processes' devices share some rows"):
        own_share(SimpleNamespace(shape=(8, 4), sharding=sharding))


PLACE = """
import numpy as np
from jax.sharding import AxisType, Mesh
from biomatrix_jax.config import MeshConfig, ShardingRules
from biomatrix_jax.sharding.mesh import AXES, make_mesh
from biomatrix_jax.sharding.rules import batch_sharding, own_share, place_rows

mesh = make_mesh(MeshConfig(**{sizes!r}))
if {ring}:  # every second device, and back by the others, as on a torus
    order = [*range(0, 8, 2), *range(7, 0, -2)]
    mesh = Mesh(mesh.devices.flatten()[order].reshape(mesh.devices.shape), AXES)
batch = jax.ShapeDtypeStruct((16, 4), np.int32, sharding=batch_sharding(mesh, ShardingRules()))
index, count = own_share(batch)
everything = np.arange(16 * 4, dtype=np.int32).reshape(16, 4)
size = 16 // count
placed = place_rows(batch, everything[index * size : (index + 1) * size])
answer([
    count,
    [[s.index[0].indices(16)[:2], s.index[1].indices(4)[:2], np.asarray(s.data).tolist()]
     for s in placed.addressable_shards],
])
"""


@pytest.mark.parametrize(
    ("together", "sizes", "ring", "parts"),
    [
        (2, {"fsdp": 2, "context": 4}, True, 1),
        (2, {}, True, 2),
        pytest.param(4, {"slice": 2, "fsdp": 2, "tensor": 2}, False, 4, marks=pytest.mark.slow),
        pytest.param(4, {}, True, 4, marks=pytest.mark.slow),
    ],
)
def test_the_processes_parts_make_the_batch(together, sizes, ring, parts):
    answers = processes.run(PLACE.format(sizes=sizes, ring=ring), together, 8 // together)
    whole = np.full((16, 4), -1)
    for count, shards in answers:
        assert count == parts
        for rows, columns, data in shards:
            piece = whole[slice(*rows), slice(*columns)]
            assert np.all((piece == -1) | (piece == data))  # copies agree
            piece[:] = data
    assert sorted(whole[:, 0]) == [*range(0, 64, 4)]
    assert np.all(whole == whole[:, :1] + np.arange(4))
