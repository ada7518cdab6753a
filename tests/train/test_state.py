"""What a checkpoint holds of a run comes back bit for bit on any mesh, or on none."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import biomatrix_jax as bm
from biomatrix_jax.checkpoint import CheckpointStore, flatten
from biomatrix_jax.config import MeshConfig
from biomatrix_jax.convert.exporter import to_hf
from biomatrix_jax.errors import BadInput
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.train import state
from biomatrix_jax.train.step import make_step

# From one device's dimension to four of them split at once.
MESHES = [
    MeshConfig(fsdp=8),
    MeshConfig(data=8),
    MeshConfig(fsdp=2, tensor=2, data=2),
    MeshConfig(fsdp=2, context=2, tensor=2),
    MeshConfig(slice=2, data=2, fsdp=1, tensor=2),
]
SMALLER = [(MeshConfig(fsdp=1), 1), (MeshConfig(fsdp=4), 4), (MeshConfig(fsdp=2, tensor=2), 4)]


def layout(config, mesh, count=8):
    """Shapes and shardings of the state of a run that keeps everything a run can keep."""
    config = dataclasses.replace(
        config,
        mesh=mesh,
        compute=dataclasses.replace(config.compute, param_dtype="bfloat16"),
        optimizer=dataclasses.replace(config.optimizer, ema_decay=0.9, name="muon"),
        rules=dataclasses.replace(config.rules, state={"embed": ("data", "fsdp")}),
    )
    return make_step(config, make_mesh(mesh, jax.devices()[:count])).state


def filled(abstract):
    """The same values whatever the layout, none twice and some of them no numbers."""
    rng = np.random.default_rng(0)

    def one(leaf):
        bits = rng.integers(0, 256, leaf.size * leaf.dtype.itemsize, np.uint8)
        values = np.frombuffer(bits.tobytes(), leaf.dtype).reshape(leaf.shape)
        return jax.device_put(values, leaf.sharding)

    return jax.tree.map(one, abstract)


def assert_same(found, expected, wanted):
    found, expected, wanted = flatten(found), flatten(expected), flatten(wanted)
    assert found.keys() == expected.keys() == wanted.keys()
    for name, leaf in found.items():
        if name == "step":
            continue
        assert leaf.sharding == wanted[name].sharding, name
        assert leaf.dtype == expected[name].dtype, name
        assert np.asarray(leaf).tobytes() == np.asarray(expected[name]).tobytes(), name


@pytest.mark.parametrize("mesh", MESHES, ids=str)
def test_a_state_goes_from_any_mesh_to_any_other(config, tmp_path, mesh):
    saved = filled(layout(config, mesh))
    assert {"master", "average", "optimizer", "guard"} <= {n.split(".")[0] for n in flatten(saved)}
    with CheckpointStore.create(tmp_path / "c", config.model) as store:
        state.save(store, 30, saved, {"step": 30})
    assert CheckpointStore.open(tmp_path / "c").steps() == [30]
    for other, count in [*((m, 8) for m in MESHES), *SMALLER]:
        wanted = layout(config, other, count)
        found = state.restore(store, 30, wanted)
        assert int(found.step) == 30
        assert_same(found, saved, wanted)


def test_a_run_of_eight_devices_is_read_without_them(config, tmp_path):
    saved = filled(layout(config, MESHES[2]))
    finite = jax.tree.map(lambda x: jnp.where(jnp.isfinite(x), x, 1), saved)
    with CheckpointStore.create(tmp_path / "run" / "checkpoints", config.model) as store:
        state.save(store, 3, finite, {"step": 3})
    model = bm.load(tmp_path / "run")  # on the first device
    for name, leaf in flatten(nnx.state(model, nnx.Param)).items():
        assert leaf.devices() == {jax.devices()[0]}
        expected = flatten(finite.params)[name]
        assert np.asarray(leaf).tobytes() == np.asarray(expected).tobytes(), name
    reader = store.reader(3, "training")  # host arrays, no device at all
    for name, expected in flatten(finite._replace(step=None, params=None, average=None)).items():
        assert reader.read(name).tobytes() == np.asarray(expected).tobytes(), name


def test_the_average_is_exported_in_place_of_the_weights(config, tmp_path):
    wanted = layout(config, MESHES[0])
    saved = jax.tree.map(lambda x: jnp.where(jnp.isfinite(x), x, 1), filled(wanted))
    with CheckpointStore.create(tmp_path / "run" / "checkpoints", config.model) as store:
        state.save(store, 3, saved, {"step": 3})
        store.save(4, saved.params)
    run = tmp_path / "run" / "checkpoints" / "3"
    to_hf(run, tmp_path / "hf", item="average")
    exported = flatten(nnx.state(bm.load(tmp_path / "hf"), nnx.Param))
    for name, expected in flatten(saved.average).items():
        assert exported[name].dtype == jnp.float32
        np.testing.assert_array_equal(exported[name], expected, err_msg=name)
    with pytest.raises(BadInput, match="4 holds no average: it was saved without"):
        to_hf(tmp_path / "run", tmp_path / "other", item="average")
    assert not (tmp_path / "other").exists()


def test_a_state_of_another_kind_does_not_fit(config, tmp_path):
    wanted = layout(config, MESHES[0])
    plain = dataclasses.replace(config, mesh=MESHES[0])
    adam = make_step(plain, make_mesh(MESHES[0])).state
    with CheckpointStore.create(tmp_path / "c", config.model) as store:
        state.save(store, 1, filled(adam), {"step": 1})
    with pytest.raises(BadInput, match="made for another configuration"):
        state.restore(store, 1, wanted)
