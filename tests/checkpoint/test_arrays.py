"""Arrays written piece by piece: several chunks, the last ones not full, read back everywhere."""

import jax
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from biomatrix_jax.blocks import block_shape
from biomatrix_jax.checkpoint import CheckpointStore, Pieces
from biomatrix_jax.config import ModelConfig
from biomatrix_jax.errors import BadInput

CONFIG = ModelConfig(37, 16, 2, 4, 2, 8, 24, 1e6, 1e-6, True, 512)
# By shape: the dtype, and the chunks along each axis. Each has a last chunk that is not full.
SHAPES = {
    (70_001, 37): ("bfloat16", (2, 1)),
    (3, 5003, 604): ("bfloat16", (3, 2, 1)),
    (2, 7, 1009, 212): ("float32", (2, 2, 1, 1)),
    (4, 1_100_003): ("float32", (4, 2)),
    (2, 3, 2_100_009): ("float16", (2, 3, 2)),
}


def array(shape) -> np.ndarray:
    dtype = np.dtype(getattr(ml_dtypes, SHAPES[shape][0], SHAPES[shape][0]))
    # Bits of all kinds, NaN among them.
    raw = np.random.default_rng(shape[-1]).bytes(int(np.prod(shape)) * dtype.itemsize)
    return np.frombuffer(raw, dtype).reshape(shape)


def pieces(values: np.ndarray) -> Pieces:
    def runs(index):
        flat = values[index].reshape(-1)
        return np.array_split(flat, 3)

    return Pieces(values.shape, values.dtype, runs)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    arrays = {"x".join(map(str, shape)): array(shape) for shape in SHAPES}
    directory = tmp_path_factory.mktemp("pieces") / "ckpt"
    with CheckpointStore.create(directory, CONFIG) as store:
        store.save_pieces(0, {name: pieces(values) for name, values in arrays.items()})
    return directory, arrays


def test_each_piece_is_a_chunk(saved):
    directory, arrays = saved
    for (shape, (_, counts)), values in zip(SHAPES.items(), arrays.values(), strict=True):
        folder = directory / "0" / "params" / "x".join(map(str, shape))
        chunks = {path.name for path in folder.iterdir()} - {".zarray"}
        assert chunks == {".".join(map(str, at)) for at in np.ndindex(counts)}
        steps = block_shape(shape, values.itemsize)
        assert any(size % step for size, step in zip(shape, steps, strict=True))
        sizes = {(folder / chunk).stat().st_size for chunk in chunks}
        assert sizes == {int(np.prod(steps)) * values.itemsize}


def test_a_reader_gets_every_bit(saved):
    directory, arrays = saved
    reader = CheckpointStore.open(directory).reader(0)
    for name, values in arrays.items():
        assert reader.read(name).tobytes() == values.tobytes()
        index = (slice(1, 2), slice(values.shape[1] // 3, values.shape[1] - 1))
        part = reader.read(name, index)
        assert part.tobytes() == np.ascontiguousarray(values[index]).tobytes()


@pytest.mark.parametrize("devices", [2, 4])
def test_orbax_restores_onto_shardings_that_cut_across_chunks(saved, devices):
    directory, arrays = saved
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("x",))
    wanted, split = {}, 0
    for name, values in arrays.items():
        axes = [axis for axis, size in enumerate(values.shape) if size % devices == 0]
        spec = ["x" if axis == max(axes, default=-1) else None for axis in range(values.ndim)]
        split += "x" in spec
        sharding = NamedSharding(mesh, PartitionSpec(*spec))
        wanted[name] = jax.ShapeDtypeStruct(values.shape, values.dtype, sharding=sharding)
    assert split >= 3
    restored = CheckpointStore.open(directory).restore(0, wanted)
    for name, values in arrays.items():
        assert restored[name].sharding == wanted[name].sharding
        assert np.asarray(restored[name]).tobytes() == values.tobytes(), name


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_chunk_that_is_damaged_is_named(tmp_path, damage):
    shape = (3, 5003, 604)
    with CheckpointStore.create(tmp_path / "ckpt", CONFIG) as store:
        store.save_pieces(0, {"stack": pieces(array(shape))})
    chunk = tmp_path / "ckpt/0/params/stack/1.1.0"
    if damage == "missing":
        chunk.unlink()
    else:
        chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"stack/1\.1\.0: .* written with"):
        CheckpointStore.open(tmp_path / "ckpt").reader(0)
    (tmp_path / "ckpt/0/inventory.json").unlink()  # then the chunk itself tells, not with zeros
    reader = CheckpointStore.open(tmp_path / "ckpt").reader(0)
    assert reader.read("stack", (slice(0, 1),)).shape == (1, *shape[1:])
    with pytest.raises(BadInput, match="damaged checkpoint"):
        reader.read("stack", (slice(1, 2),))


def test_what_goes_wrong_in_a_piece_is_raised_and_leaves_no_step(tmp_path):
    values = array((3, 5003, 604))

    def runs(index):
        if index[0].start == 1:
            raise BadInput("no more of it")
        return [values[index].reshape(-1)]

    with (
        pytest.raises(BadInput, match="no more of it"),
        CheckpointStore.create(tmp_path / "ckpt", CONFIG) as store,
    ):
        store.save_pieces(0, {"stack": Pieces(values.shape, values.dtype, runs)})
    store = CheckpointStore.open(tmp_path / "ckpt")
    assert store.steps() == []
    with store:
        store.save_pieces(0, {"stack": pieces(values)})
    assert store.reader(0).read("stack").tobytes() == values.tobytes()


@pytest.mark.parametrize("change", [-1, 1])
def test_a_piece_of_another_size_is_not_filled_up_or_cut(tmp_path, change):
    values = array((3, 5003, 604))

    def runs(index):
        return [np.resize(values[index], values[index].size + change)]

    with (
        pytest.raises(ValueError, match="bytes of"),
        CheckpointStore.create(tmp_path / "ckpt", CONFIG) as store,
    ):
        store.save_pieces(0, {"stack": Pieces(values.shape, values.dtype, runs)})
    assert CheckpointStore.open(tmp_path / "ckpt").steps() == []
