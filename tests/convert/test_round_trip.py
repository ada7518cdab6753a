"""from-hf, then to-hf: every bit of the weights and every byte of the other files comes back."""

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from biomatrix_jax.checkpoint import CheckpointStore
from biomatrix_jax.convert.exporter import to_hf
from biomatrix_jax.convert.files import safetensors_file
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.verify import verify
from biomatrix_jax.errors import BadInput
from tests.convert import hf

CARRIED = ("config.json", "generation_config.json", "chat_template.jinja")


@pytest.mark.parametrize("dtype", hf.DTYPES)
@pytest.mark.parametrize("config", [hf.TIED, hf.UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize(("form", "shards", "shard_size"), [(4, 1, "2KB"), (5, 3, "5GB")])
def test_bit_for_bit(tmp_path, dtype, config, form, shards, shard_size):
    src, ckpt, dst = (tmp_path / name for name in ("src", "ckpt", "dst"))
    weights = hf.write(src, config, form=form, dtype=dtype, shards=shards)
    assert from_hf(src, ckpt) == [f"{src}: {hf.ODD_NOTE}"]
    store = CheckpointStore.open(ckpt)
    assert store.model == config
    assert store.steps() == [0]
    assert to_hf(ckpt, dst, shard_size=shard_size) == [f"{ckpt}: {hf.ODD_NOTE}"]
    hf.assert_same_bits(hf.read_weights(dst), weights)
    for name in CARRIED:
        assert (dst / name).read_bytes() == (src / name).read_bytes()
    assert len(list(dst.glob("*.safetensors"))) > 2 or shard_size == "5GB"
    assert verify(src, dst).equal
    assert verify(ckpt, dst).equal


def test_layers_keep_their_order_beyond_ten(tmp_path):
    config = hf.ModelConfig(31, 8, 12, 2, 1, 4, 6, tied_embeddings=True)
    weights = hf.write(tmp_path / "src", config)
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    to_hf(tmp_path / "ckpt", tmp_path / "dst")
    hf.assert_same_bits(hf.read_weights(tmp_path / "dst"), weights)


def test_norms_in_another_dtype(tmp_path):
    weights = hf.weights(hf.TIED)
    for name in weights:
        if "norm" in name:
            weights[name] = weights[name].astype(np.float32) + np.float32(1e-6)
    hf.write(tmp_path / "src", hf.TIED, weights)
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    for size in ("5GB", "2KB"):
        to_hf(tmp_path / "ckpt", tmp_path / size, shard_size=size)
        hf.assert_same_bits(hf.read_weights(tmp_path / size), weights)
        written = (tmp_path / size / "config.json").read_bytes()
        assert written == (tmp_path / "src" / "config.json").read_bytes()


def test_sharded_differently_on_the_way(tmp_path):
    weights = hf.write(tmp_path / "src", hf.TIED)
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    store = CheckpointStore.open(tmp_path / "ckpt")
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("x",))
    stored = store.shapes(0)
    for step, axis in ((1, 0), (2, -1)):

        def place(leaf, axis=axis):
            spec = [None] * len(leaf.shape)
            if leaf.shape[axis] % 8 == 0:
                spec[axis] = "x"
            sharding = NamedSharding(mesh, PartitionSpec(*spec))
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

        with store:
            store.save(step, store.restore(step - 1, jax.tree.map(place, stored)))
    to_hf(tmp_path / "ckpt", tmp_path / "dst")
    hf.assert_same_bits(hf.read_weights(tmp_path / "dst"), weights)


def test_an_existing_target_is_left_alone_unless_told(tmp_path):
    hf.write(tmp_path / "src", hf.TIED)
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    to_hf(tmp_path / "ckpt", tmp_path / "dst")
    before = hf.snapshot(tmp_path)
    with pytest.raises(BadInput, match="exists already"):
        from_hf(tmp_path / "src", tmp_path / "ckpt")
    with pytest.raises(BadInput, match="exists already"):
        to_hf(tmp_path / "ckpt", tmp_path / "dst")
    assert hf.snapshot(tmp_path) == before
    weights = hf.write(tmp_path / "src", hf.UNTIED)
    from_hf(tmp_path / "src", tmp_path / "ckpt", overwrite=True)
    to_hf(tmp_path / "ckpt", tmp_path / "dst", overwrite=True)
    hf.assert_same_bits(hf.read_weights(tmp_path / "dst"), weights)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ckpt", "dst", "src"]


def test_the_source_is_never_replaced(tmp_path):
    hf.write(tmp_path / "a" / "src", hf.TIED)
    from_hf(tmp_path / "a" / "src", tmp_path / "ckpt")
    before = hf.snapshot(tmp_path)
    for convert, src, dst in (
        (from_hf, tmp_path / "a" / "src", tmp_path / "a" / "src"),
        (from_hf, tmp_path / "a" / "src", tmp_path / "a"),
        (to_hf, tmp_path / "ckpt", tmp_path / "x" / ".." / "ckpt"),
        (to_hf, tmp_path / "ckpt" / "0", tmp_path / "ckpt"),
    ):
        with pytest.raises(BadInput, match="is or contains the source"):
            convert(src, dst, overwrite=True)
    assert hf.snapshot(tmp_path) == before


def test_a_checkpoint_is_not_replaced_by_its_export(tmp_path):
    hf.write(tmp_path / "src", hf.TIED)
    checkpoints = tmp_path / "run" / "checkpoints"
    from_hf(tmp_path / "src", checkpoints)
    (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "disk" / "run" / "checkpoints").symlink_to(checkpoints)
    before = hf.snapshot(tmp_path)
    for src, dst, says in (
        ("run", "run/checkpoints", "is or contains the source"),
        ("run/checkpoints", "run/checkpoints/0", "lies in the checkpoint"),
        ("run", "run/checkpoints/hf", "lies in the checkpoint"),
        ("disk/run", "run", "is or contains the source"),
    ):
        with pytest.raises(BadInput, match=says):
            to_hf(tmp_path / src, tmp_path / dst, overwrite=True)
    assert hf.snapshot(tmp_path) == before
    to_hf(tmp_path / "run", tmp_path / "run" / "hf")


def test_interrupted_writes_leave_nothing_that_looks_complete(tmp_path, monkeypatch):
    hf.write(tmp_path / "src", hf.TIED)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save_pieces", full)
        with pytest.raises(OSError, match="No space"):
            from_hf(tmp_path / "src", tmp_path / "ckpt")
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    with monkeypatch.context() as patch:
        patch.setattr(safetensors_file, "write", full)
        with pytest.raises(OSError, match="No space"):
            to_hf(tmp_path / "ckpt", tmp_path / "dst")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ckpt", "src"]
