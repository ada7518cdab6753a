"""Checkpoints: what is complete, where arrays go, and what happens to damaged files."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from biomatrix_jax.checkpoint import (
    CheckpointStore,
    Damaged,
    flatten,
    is_checkpoint,
    locate,
    newest_whole,
)
from biomatrix_jax.checkpoint.places import INVENTORY
from biomatrix_jax.config import ModelConfig
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model import Decoder

CONFIG = ModelConfig(37, 16, 2, 4, 2, 8, 24, 1e6, 1e-6, True, 512)


@functools.cache
def decoder_state(seed: int) -> nnx.State:
    return nnx.state(Decoder(CONFIG, rngs=nnx.Rngs(seed)), nnx.Param)


def abstract(tree, sharding=None):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def assert_same_bits(a, b):
    a, b = flatten(a), flatten(b)
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype, name
        assert np.asarray(a[name]).tobytes() == np.asarray(b[name]).tobytes(), name


@pytest.fixture
def saved(tmp_path):
    """A directory with steps 0 and 20, closed; and what step 20 holds."""
    params = decoder_state(seed=1)
    training = optax.adamw(1e-3).init(params)
    with CheckpointStore.create(tmp_path / "ckpt", CONFIG, made={"by": "test"}) as store:
        store.save(0, decoder_state(seed=0))
        store.save(20, params, training=training, data={"step": 20, "name": "ä"})
    return tmp_path / "ckpt", params, training


def test_what_was_saved_comes_back_bit_for_bit(saved):
    directory, params, training = saved
    store = CheckpointStore.open(directory)
    assert store.model == CONFIG
    assert store.made == {"by": "test"}
    assert store.steps() == [0, 20]
    assert store.latest() == 20
    restored = store.restore(20, abstract(params))
    assert_same_bits(restored, params)
    assert jax.tree.structure(restored) == jax.tree.structure(params)
    assert_same_bits(store.restore(0, abstract(params)), decoder_state(seed=0))
    again = store.restore(20, abstract(training), "training")
    assert jax.tree.structure(again) == jax.tree.structure(training)
    assert_same_bits(again, training)
    assert store.restore_data(20) == {"step": 20, "name": "ä"}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_stored_dtype_is_kept(tmp_path, dtype):
    bits = np.arange(2**12, dtype=np.uint16 if dtype != "float32" else np.uint32)
    values = (bits * 13).view(np.dtype(getattr(ml_dtypes, dtype, dtype)))  # NaN and denormals too
    with CheckpointStore.create(tmp_path / "c", CONFIG) as store:
        store.save(3, {"x": {"y": values}})
    store = CheckpointStore.open(tmp_path / "c")
    leaf = store.shapes(3)["x.y"]
    assert (leaf.shape, leaf.dtype) == (values.shape, values.dtype)
    assert store.reader(3).read("x.y").tobytes() == values.tobytes()
    restored = store.restore(3, {"x": {"y": leaf}})
    assert np.asarray(restored["x"]["y"]).tobytes() == values.tobytes()


def test_restores_onto_other_shardings(tmp_path):
    devices = np.array(jax.devices())
    writing = jax.sharding.Mesh(devices.reshape(4, 2), ("fsdp", "tensor"))
    reading = jax.sharding.Mesh(devices.reshape(2, 4), ("fsdp", "tensor"))
    x = np.arange(8 * 16 * 4, dtype=np.float32).reshape(8, 16, 4)
    placed = jax.device_put(x, NamedSharding(writing, PartitionSpec("fsdp", "tensor")))
    with CheckpointStore.create(tmp_path / "c", CONFIG) as store:
        store.save(1, {"x": placed})
    target = NamedSharding(reading, PartitionSpec(None, "tensor", "fsdp"))
    restored = CheckpointStore.open(tmp_path / "c").restore(1, abstract({"x": x}, target))
    assert restored["x"].sharding == target
    np.testing.assert_array_equal(restored["x"], x)


def test_casts_to_the_dtype_asked_for(saved):
    directory, params, _ = saved
    wanted = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.bfloat16), params)
    restored = CheckpointStore.open(directory).restore(20, wanted)
    assert_same_bits(restored, jax.tree.map(lambda x: x.astype(jnp.bfloat16), params))


def test_arrays_may_change_as_soon_as_save_returns(tmp_path):
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jnp.zeros((512, 1024))
    host = np.zeros((512, 1024), np.float32)
    with CheckpointStore.create(tmp_path / "c", CONFIG) as store:
        for i in range(3):
            store.save(i, {"x": x, "host": host})
            host += 1
            x = step(x)
    store = CheckpointStore.open(tmp_path / "c")
    for i in range(3):
        assert (store.reader(i).read("x") == i).all()
        assert (store.reader(i).read("host") == i).all()


def test_keep_leaves_the_newest(tmp_path):
    with CheckpointStore.create(tmp_path / "c", CONFIG, keep=2) as store:
        for step in (10, 20, 30):
            store.save(step, {"x": np.ones(3)})
    with CheckpointStore.open(tmp_path / "c", keep=2) as store:
        assert store.steps() == [20, 30]
        store.save(40, {"x": np.ones(3)})
        store.wait()
        assert store.steps() == [30, 40]
    with CheckpointStore.open(tmp_path / "c") as store:
        store.save(50, {"x": np.ones(3)})
    assert store.steps() == [30, 40, 50]


def test_multiples_of_an_interval_are_kept_for_good(tmp_path):
    with CheckpointStore.create(tmp_path / "c", CONFIG, keep=2, keep_every=20) as store:
        for step in (10, 20, 30, 40):
            store.save(step, {"x": np.ones(3)})
    assert store.steps() == [20, 30, 40]
    with CheckpointStore.open(tmp_path / "c", keep=1, keep_every=20) as store:
        for step in (50, 55):
            store.save(step, {"x": np.ones(3)})
    assert store.steps() == [20, 40, 55]


def test_trees_of_other_names_come_back(tmp_path):
    trees = {
        "average": {"x": np.arange(3, dtype=np.float32)},
        "training": {"y": np.arange(4, dtype=np.int32)},
    }
    with CheckpointStore.create(tmp_path / "c", CONFIG) as store:
        store.save(1, {"x": np.ones(3)}, **trees)
        store.save(2, {"x": np.ones(3)}, average=None)
    for item, tree in trees.items():
        assert_same_bits(store.restore(1, abstract(tree), item), tree)
    with pytest.raises(BadInput, match="2 holds no average: it was saved without"):
        store.restore(2, abstract(trees["average"]), "average")


def test_the_newest_whole_step(saved):
    directory = saved[0]
    assert newest_whole(directory) == 20
    assert newest_whole(directory, below=20) == 0
    assert newest_whole(directory, below=0) is None
    file = directory / "20" / "training" / "_METADATA"
    file.write_bytes(file.read_bytes()[:-1])
    assert newest_whole(directory) == 0
    (directory / "0" / INVENTORY).write_text("")  # as a power cut leaves what was not synced
    assert newest_whole(directory) is None


def test_a_step_is_not_saved_twice(saved):
    with (
        CheckpointStore.open(saved[0]) as store,
        pytest.raises(BadInput, match="holds step 20 already"),
    ):
        store.save(20, {"x": np.ones(3)})


def test_incomplete_steps_are_not_there(saved):
    directory = saved[0]
    # What a killed run leaves: Orbax's temporary folder; and things that are no steps at all.
    shutil.copytree(directory / "20", directory / "30.orbax-checkpoint-tmp-7")
    (directory / "notes").mkdir()
    store = CheckpointStore.open(directory)
    assert store.steps() == [0, 20]
    assert locate(directory) == (directory, 20)
    with pytest.raises(BadInput, match="holds no step 30"):
        store.restore_data(30)
    with store:  # the next save clears it away
        store.save(30, {"x": np.ones(3)})
    assert store.steps() == [0, 20, 30]
    assert not list(directory.glob("*tmp*"))


@pytest.mark.parametrize("name", ["5", "900", "0007", "eval_900", "\u00b2", "\uff17", "-3"])
def test_a_folder_that_was_not_saved_is_no_step(saved, name):
    directory, params, _ = saved
    (directory / name).mkdir()
    (directory / name / "notes.txt").write_text("mine")
    store = CheckpointStore.open(directory)
    assert store.steps() == [0, 20]
    assert locate(directory) == (directory, 20)
    if name.isdecimal():
        with pytest.raises(BadInput, match=f"holds no step {name}"):
            locate(directory / name)
    assert_same_bits(store.restore(store.latest(), abstract(params)), params)


def test_another_spelling_of_a_step_does_not_name_it(saved):
    shutil.copytree(saved[0] / "20", saved[0] / "0020")
    assert CheckpointStore.open(saved[0]).steps() == [0, 20]
    with pytest.raises(BadInput, match="holds no step 0020"):
        locate(saved[0] / "0020")


def test_saving_never_deletes_a_folder_that_was_not_saved(saved):
    directory = saved[0]
    (directory / "900").mkdir()
    (directory / "900" / "notes.txt").write_text("mine")
    with (
        CheckpointStore.open(directory, keep=1) as store,
        pytest.raises(BadInput, match=r"900 is called like a step but was not saved as one"),
    ):
        store.save(30, {"x": np.ones(3)})
    assert store.steps() == [0, 20]
    (directory / "900").rename(directory / "0900")  # which Orbax does not take for one
    with CheckpointStore.open(directory, keep=1) as store:
        store.save(30, {"x": np.ones(3)})
    assert store.steps() == [30]
    assert (directory / "0900" / "notes.txt").read_text() == "mine"


def test_what_a_killed_clean_up_left_is_cleared_away(saved):
    directory = saved[0]
    (directory / "10").mkdir()
    (directory / "10" / "_CHECKPOINT_METADATA").write_text("{}")
    with CheckpointStore.open(directory, keep=1) as store:
        assert store.steps() == [0, 20]
        store.save(30, {"x": np.ones(3)})
    assert store.steps() == [30]
    assert not (directory / "10").exists()


def test_a_step_without_its_parameters_is_damaged_not_absent(saved):
    directory, params, _ = saved
    shutil.rmtree(directory / "20" / "params")
    store = CheckpointStore.open(directory)
    assert locate(directory) == (directory, 20)
    with pytest.raises(BadInput, match=r"20/params/.*: missing, written with .*: damaged"):
        store.restore(20, abstract(params))


def test_killed_while_saving(tmp_path):
    script = textwrap.dedent(
        f"""
        import sys, numpy as np
        sys.path[:0] = {sys.path!r}
        from biomatrix_jax.checkpoint import CheckpointStore
        from biomatrix_jax.config import ModelConfig
        store = CheckpointStore.create({str(tmp_path / "c")!r}, ModelConfig())
        rng = np.random.default_rng(0)
        for step in range(1000):
            store.save(step, {{"x": rng.standard_normal(2_000_000), "step": np.int32(step)}})
        """
    )
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "c" / "1").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    store = CheckpointStore.open(tmp_path / "c")
    assert store.latest() >= 1
    for step in store.steps():  # each one that is listed is whole
        assert store.reader(step).read("step") == step
        assert store.reader(step).read("x").shape == (2_000_000,)


def test_a_failed_save_raises_and_leaves_no_step(saved, monkeypatch):
    def full(self):
        raise OSError("no space left on device")

    monkeypatch.setattr(CheckpointStore, "_take_inventory", full)
    store = CheckpointStore.open(saved[0])
    store.save(30, {"x": np.ones(3)})
    with pytest.raises(OSError, match="no space left"):
        store.close()
    assert store.steps() == [0, 20]


FULL = """
import resource, sys
import numpy as np
from biomatrix_jax.checkpoint import CheckpointStore
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    with CheckpointStore.open(sys.argv[1]) as store:
        store.save(30, {f"x{i}": np.random.rand(10_000) for i in range(30)})
except OSError as error:
    print(error.strerror, error.filename)
"""


def test_a_full_disk_is_the_systems_error_and_said_once(saved):
    pytest.importorskip("resource")  # a limit on files stands for it
    command = [sys.executable, "-c", FULL, str(saved[0])]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.startswith(f"File too large {saved[0]}")
    assert "Traceback" not in result.stderr
    assert newest_whole(saved[0]) == 20


@pytest.mark.parametrize("kind", ["truncated", "missing"])
def test_damage_is_named_by_file(saved, kind):
    directory, params, _ = saved
    files = [p for p in (directory / "20" / "params").rglob("*") if p.is_file()]
    assert len(files) > 5
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2]) if kind == "truncated" else file.unlink()
        with pytest.raises(Damaged, match="damaged") as error:
            CheckpointStore.open(directory).restore(20, abstract(params))
        assert str(file) in str(error.value)
        assert "\n" not in str(error.value)
        file.write_bytes(content)
    CheckpointStore.open(directory).restore(20, abstract(params))


@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_inventory(saved, content):
    inventory = saved[0] / "20" / INVENTORY
    inventory.write_text(content)
    with pytest.raises(BadInput, match=INVENTORY):
        CheckpointStore.open(saved[0]).reader(20).read("final_norm.scale")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_changed_bytes_in_the_tree_are_found(saved):
    directory, params, _ = saved
    (file,) = (directory / "20" / "params" / "d").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(BadInput, match="damaged checkpoint") as error:
        CheckpointStore.open(directory).restore(20, abstract(params))
    assert "\n" not in str(error.value)


def test_names_and_shapes_must_fit(saved):
    directory, params, _ = saved
    wanted = dict(flatten(abstract(params)))
    wanted["extra"] = wanted.pop("final_norm.scale")
    wanted["embedding.table"] = jax.ShapeDtypeStruct((38, 16), jnp.float32)
    with pytest.raises(BadInput) as error:
        CheckpointStore.open(directory).restore(20, wanted)
    for part in (
        "extra is missing",
        "final_norm.scale is not expected",
        "embedding.table has shape (37, 16), expected (38, 16)",
    ):
        assert part in str(error.value)


def test_items_that_were_not_saved(saved):
    with pytest.raises(BadInput, match="holds no training"):
        CheckpointStore.open(saved[0]).restore(0, {}, "training")
    with pytest.raises(BadInput, match="holds no data"):
        CheckpointStore.open(saved[0]).restore_data(0)


def test_locate(saved, tmp_path):
    directory = saved[0]
    run = tmp_path / "run"
    run.mkdir()
    shutil.copytree(directory, run / "checkpoints")
    assert locate(directory) == (directory, 20)
    assert locate(directory / "0") == (directory, 0)
    assert locate(run) == (run / "checkpoints", 20)
    assert locate(os.path.relpath(directory)) == (directory, 20)
    for path in (directory, directory / "0", run):
        assert is_checkpoint(path)
    for path in (tmp_path, tmp_path / "none", directory / "hf"):
        assert not is_checkpoint(path)
    with pytest.raises(BadInput, match="holds no step 7"):
        locate(directory / "7")
    with pytest.raises(BadInput, match="does not exist"):
        locate(tmp_path / "none")
    with pytest.raises(BadInput, match="neither a checkpoint nor a run"):
        locate(tmp_path)
    CheckpointStore.create(tmp_path / "empty", CONFIG)
    with pytest.raises(BadInput, match="no complete step"):
        locate(tmp_path / "empty")


def test_create_carries_files_and_does_not_overwrite(tmp_path):
    hf = tmp_path / "hf"
    hf.mkdir()
    (hf / "tokenizer.json").write_bytes(b'{"a":\r\n 1}')
    (hf / "config.json").write_bytes(b"{}")
    (hf / "model.safetensors").write_bytes(b"large")
    store = CheckpointStore.create(tmp_path / "c", CONFIG, carried=hf)
    assert {p.name for p in store.carried.iterdir()} == {"tokenizer.json", "config.json"}
    assert (store.carried / "tokenizer.json").read_bytes() == b'{"a":\r\n 1}'
    with pytest.raises(BadInput, match="exists already"):
        CheckpointStore.create(tmp_path / "c", CONFIG)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "model.json"),
        ("[]", "model.json"),
        ('{"format": 2}', "format 2, this version reads 1"),
        ('{"format": 1, "model": {"vocab": 3}, "made": {}}', "did you mean vocab_size"),
        ('{"format": 1, "model": {"vocab_size": "3"}, "made": {}}', "vocab_size must be"),
        ('{"format": 1, "model": {"vocab_size": 3}, "made": {}}', "model lacks .*rope_theta"),
        ("[" * 100_000, "model.json"),
    ],
)
def test_unreadable_description(tmp_path, content, message):
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(BadInput, match=message):
        CheckpointStore.open(tmp_path)


@pytest.fixture
def carrying(tmp_path):
    """A checkpoint that carries two files, one of them in a folder."""
    (tmp_path / "hf" / "additional_chat_templates").mkdir(parents=True)
    (tmp_path / "hf" / "tokenizer.json").write_bytes(b"{}")
    (tmp_path / "hf" / "additional_chat_templates" / "tools.jinja").write_bytes(b"{{ a }}\r\n")
    return CheckpointStore.create(tmp_path / "c", CONFIG, carried=tmp_path / "hf")


def test_the_carried_files_are_all_there(carrying, tmp_path):
    CheckpointStore.open(carrying.directory)
    for name in ("tokenizer.json", "additional_chat_templates/tools.jinja"):
        assert (carrying.carried / name).read_bytes() == (tmp_path / "hf" / name).read_bytes()


@pytest.mark.parametrize("name", ["tokenizer.json", "additional_chat_templates/tools.jinja"])
def test_a_carried_file_that_is_lost_or_another_is_named(carrying, name):
    path = carrying.carried / name
    content = path.read_bytes()
    path.write_bytes(content.swapcase() + b"!")
    with pytest.raises(BadInput, match=f"{name} is not the file") as error:
        CheckpointStore.open(carrying.directory)
    assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(BadInput, match=f"{name} is missing: copy the checkpoint whole"):
        CheckpointStore.open(carrying.directory)
    shutil.rmtree(carrying.carried)
    with pytest.raises(BadInput, match="is missing: copy the checkpoint whole"):
        CheckpointStore.open(carrying.directory)


def test_an_empty_folder_need_not_survive_copying(saved):
    (saved[0] / "hf").rmdir()
    assert CheckpointStore.open(saved[0]).steps() == [0, 20]


def test_a_description_that_lists_no_carried_files(carrying):
    path = carrying.directory / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"carried": ["tokenizer.json"]}))
    with pytest.raises(BadInput, match="carried must list files"):
        CheckpointStore.open(carrying.directory)


@pytest.mark.parametrize("make", [lambda p: p.write_text("x"), lambda p: p.symlink_to("gone")])
def test_chat_templates_that_cannot_be_carried_are_not_left_out(tmp_path, make):
    (tmp_path / "hf").mkdir()
    make(tmp_path / "hf" / "additional_chat_templates")
    with pytest.raises(BadInput, match=r"additional_chat_templates is a link to nothing, or no fo"):
        CheckpointStore.create(tmp_path / "c", CONFIG, carried=tmp_path / "hf")


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: p.symlink_to("gone")])
def test_what_cannot_be_carried_is_not_left_out(tmp_path, make):
    (tmp_path / "hf").mkdir()
    make(tmp_path / "hf" / "tokenizer.json")
    with pytest.raises(BadInput, match=r"tokenizer\.json is a link to nothing, or no file"):
        CheckpointStore.create(tmp_path / "c", CONFIG, carried=tmp_path / "hf")
    assert not (tmp_path / "c").exists()


def test_too_little_memory_is_not_called_damage(saved, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(ocp.PyTreeCheckpointHandler, "restore", full)
    with pytest.raises(MemoryError):
        CheckpointStore.open(saved[0]).restore(20, abstract(saved[1]))


def test_open_elsewhere(tmp_path):
    with pytest.raises(BadInput, match="is not a checkpoint"):
        CheckpointStore.open(tmp_path)


def test_inventory_lists_every_file(saved):
    folder = saved[0] / "20"
    listed = json.loads((folder / INVENTORY).read_text())
    items = ("params", "training", "data")
    found = [p for item in items for p in (folder / item).rglob("*") if p.is_file()]
    assert listed == {p.relative_to(folder).as_posix(): p.stat().st_size for p in found}


def test_flatten_names_variables_and_nested_leaves():
    x = jnp.zeros(2)
    assert list(flatten({"b": [x, {"c": x}], "a": nnx.Param(x)})) == ["a", "b.0", "b.1.c"]
