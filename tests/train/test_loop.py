import dataclasses
import fcntl
import io
import json
import logging
import os
import shutil
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biomatrix_jax import config as configs
from biomatrix_jax.checkpoint import CheckpointStore
from biomatrix_jax.config import MeshConfig
from biomatrix_jax.convert.exporter import to_hf
from biomatrix_jax.data.loader import Loader
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import sha256
from biomatrix_jax.tokens import Vocabulary, base_tokenizer_path, extend_tokenizer
from biomatrix_jax.train import loop, metrics, run
from biomatrix_jax.train.loop import train

from .data_directory import make_data


@pytest.fixture(scope="module", autouse=True)
def compile_cache(tmp_path_factory):
    """The same program is compiled for many runs here."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = [getattr(jax.config, name) for name in names]
    for name, value in zip(names, (str(tmp_path_factory.mktemp("cache")), 0), strict=True):
        jax.config.update(name, value)
    yield
    for name, value in zip(names, before, strict=True):
        jax.config.update(name, value)


@pytest.fixture(scope="module")
def whole(run_config, tmp_path_factory):
    """A run of six steps in one go: (its directory, what JAX logged of compiling)."""
    out = tmp_path_factory.mktemp("whole") / "run"
    log, logger = io.StringIO(), logging.getLogger("jax")
    handler = logging.StreamHandler(log)
    logger.addHandler(handler)
    jax.config.update("jax_log_compiles", True)  # in all threads: the step is compiled in another
    assert train(run_config, out, display=io.StringIO()) == 6
    jax.config.update("jax_log_compiles", False)
    logger.removeHandler(handler)
    return out, log.getvalue()


def losses(out):
    return {line["step"]: line["loss"] for line in metrics.read(out / metrics.FILE)}


def parameters(out, step):
    store = CheckpointStore.open(out / "checkpoints")
    return store.restore(step, store.shapes(step))


def differ(config, section, **fields):
    changed = dataclasses.replace(getattr(config, section), **fields)
    return dataclasses.replace(config, **{section: changed})


class Interrupted(Exception):
    pass


def at_batch(monkeypatch, number, action):
    """Does something when the loop's read-ahead comes to a batch."""
    batch = Loader.batch

    def hooked(self, step):
        if step == number:
            action()
        return batch(self, step)

    monkeypatch.setattr(Loader, "batch", hooked)


def interrupt():
    raise Interrupted


def test_a_run_is_complete_on_disk(whole, run_config):
    out, _ = whole
    assert configs.load(out / "config.yaml") == run_config
    lines = metrics.read(out / metrics.FILE)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert all(
        line["loss_by_modality"].keys() == {"text", "smiles", "protein_sequence"} for line in lines
    )
    assert lines[0]["learning_rate"] == pytest.approx(0.005)
    assert lines[-1]["learning_rate"] == pytest.approx(0.001)
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.5
    store = CheckpointStore.open(out / "checkpoints")
    assert store.steps() == [3, 6]
    assert store.model == run_config.model
    assert store.made["config"]["train"]["seed"] == 0
    assert list((out / "tensorboard").iterdir())


def test_a_run_counts_what_it_draws(whole):
    lines = metrics.read(whole[0] / metrics.FILE)
    so_far = 0
    for line in lines:
        so_far += line["tokens"]
        assert line["tokens_by_source"] == {"noise": line["tokens"]}
        assert sum(line["tokens_by_modality"].values()) == line["tokens"]
        assert line["drawn_by_source"] == {"noise": [so_far, so_far]}
    assert "Mixture" in (whole[0] / "report.html").read_text()


def test_another_batch_and_mixture_in_the_midst_of_a_run_go_on_at_the_next_row(
    unfinished, tmp_path, monkeypatch
):
    out = shutil.copytree(unfinished[0], tmp_path / "run")
    drawn = []
    schedule = (configs.MixtureStage(5, {"noise": 3.0}),)
    config = differ(unfinished[1], "data", batch_rows=16, mixture_schedule=schedule)
    batch = Loader.batch

    def noted(self, step):
        rows = batch(self, step)
        drawn.append((step, rows["tokens"]))
        return rows

    monkeypatch.setattr(Loader, "batch", noted)
    assert train(config, out, display=io.StringIO(), allow_changes=True) == 6
    # Four steps of 8 rows were made before.
    ones = Loader(config.data.path, differ(config, "data", batch_rows=1).data, config.train.seed)
    expected = [batch(ones, row)["tokens"] for row in range(32, 64)]
    drawn = [tokens for step, tokens in sorted(drawn, key=lambda one: one[0]) if step < 6]
    np.testing.assert_array_equal(np.concatenate(drawn), np.concatenate(expected))
    data = CheckpointStore.open(out / "checkpoints").restore_data(6)
    assert data["batches"] == [[0, 8], [4, 16]]
    # The run up to its fourth step is counted too.
    lines = metrics.read(out / metrics.FILE)
    so_far = sum(line["tokens"] for line in lines)
    assert lines[-1]["drawn_by_source"] == {"noise": [so_far, so_far]}


def test_a_run_is_drawn_as_of_its_last_step(whole):
    page = (whole[0] / "report.html").read_text()
    assert "6 of 6 steps" in page
    assert "<svg" in page


def test_a_run_carries_its_tokenizer_and_where_documents_end(whole, run_config):
    carried = CheckpointStore.open(whole[0] / "checkpoints").carried
    tokenizer = base_tokenizer_path() / "tokenizer.json"
    assert (carried / "tokenizer.json").read_bytes() == tokenizer.read_bytes()
    generation = json.loads((carried / "generation_config.json").read_text())
    assert generation["eos_token_id"] == Vocabulary.from_pretrained(base_tokenizer_path()).eos_id


def test_the_step_is_compiled_once(whole):
    assert whole[1].count("Finished XLA compilation of jit(train)") == 1


def test_a_killed_run_continues_bit_for_bit(whole, run_config, tmp_path, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_batch(patch, 4, interrupt)
        with pytest.raises(Interrupted):
            train(run_config, out, display=io.StringIO())
    assert CheckpointStore.open(out / "checkpoints").steps() == [3]
    display = io.StringIO()
    assert train(run_config, out, display=display) == 6
    assert "after step 3" in display.getvalue()
    assert losses(out) == losses(whole[0])
    expected = parameters(whole[0], 6)
    assert expected
    for name, array in parameters(out, 6).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_sigterm_saves_and_ends_well(whole, run_config, tmp_path, monkeypatch):
    out = tmp_path / "run"
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        at_batch(patch, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
        display = io.StringIO()
        done = train(run_config, out, display=display)
    assert 1 <= done < 6
    assert f"stopped and saved after step {done}" in display.getvalue()
    assert signal.getsignal(signal.SIGTERM) is handler
    assert done in CheckpointStore.open(out / "checkpoints").steps()
    assert max(losses(out)) == done
    assert train(run_config, out, display=io.StringIO()) == 6
    assert losses(out) == losses(whole[0])


def test_a_finished_run_is_left_alone(whole, run_config):
    before = (whole[0] / metrics.FILE).read_bytes()
    display = io.StringIO()
    assert train(run_config, whole[0], display=display) == 6
    assert "finished" in display.getvalue()
    assert (whole[0] / metrics.FILE).read_bytes() == before


@pytest.fixture(scope="module")
def unfinished(run_config, tmp_path_factory):
    """A run with checkpoints 2 and 4 of 6, and its configuration."""
    out = tmp_path_factory.mktemp("unfinished") / "run"
    config = differ(run_config, "train", checkpoint_every=2)
    with pytest.MonkeyPatch.context() as patch:
        at_batch(patch, 5, interrupt)
        with pytest.raises(Interrupted):
            train(config, out, display=io.StringIO())
    assert CheckpointStore.open(out / "checkpoints").steps() == [2, 4]
    return out, config


@pytest.mark.slow
def test_a_run_continues_on_another_mesh_and_back(whole, unfinished, tmp_path, monkeypatch):
    out, config = shutil.copytree(unfinished[0], tmp_path / "run"), unfinished[1]
    shutil.rmtree(out / "checkpoints" / "4")
    moved = dataclasses.replace(config, mesh=MeshConfig(data=2, fsdp=2, context=2))
    with monkeypatch.context() as patch:
        at_batch(patch, 5, interrupt)
        with pytest.raises(Interrupted):
            train(moved, out, display=io.StringIO())
    display = io.StringIO()
    train(config, out, display=display)
    assert "after step 4" in display.getvalue()
    here, there = losses(out), losses(whole[0])
    assert here.keys() == there.keys()
    np.testing.assert_allclose([*here.values()], [*there.values()], rtol=1e-5)
    assert [here[step] for step in (1, 2)] == [there[step] for step in (1, 2)]


def test_a_state_says_how_it_was_made(unfinished):
    out, config = unfinished
    store = CheckpointStore.open(out / "checkpoints")
    data = store.restore_data(4)
    for made in (store.made, data):
        assert configs.from_dict(configs.RunConfig, made["config"], "made") == config
        assert made["manifest_sha256"] == sha256(Path(config.data.path) / "manifest.json")
        assert made["versions"]["jax"] == jax.__version__
        assert made["code"]["biomatrix-jax"]
        assert (made["devices"], made["processes"]) == ("8 cpu", 1)
    assert (data["step"], data["changes"]) == (4, [])


@pytest.mark.parametrize("damage", ["cut", "missing", "inventory", "data"])
def test_the_last_good_checkpoint_is_named(whole, unfinished, tmp_path, damage):
    out, config = shutil.copytree(unfinished[0], tmp_path / "run"), unfinished[1]
    latest = out / "checkpoints" / "4"
    files = [path for path in (latest / "training").rglob("*") if path.is_file()]
    file = {
        "cut": max(files, key=lambda path: path.stat().st_size),
        "missing": latest / "params" / "_METADATA",
        "inventory": latest / "inventory.json",
        "data": next((latest / "data").rglob("metadata*")),
    }[damage]
    if damage in ("missing", "data"):
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    before = {path for path in out.rglob("*") if path.is_file()}
    with pytest.raises(BadInput) as error:
        train(config, out, display=io.StringIO())
    assert str(file) in str(error.value)
    assert f"Step 2 is the last good checkpoint: to resume from it, remove {latest}" in str(
        error.value
    )
    assert {path for path in out.rglob("*") if path.is_file()} == before
    shutil.rmtree(latest)
    if damage == "cut":
        train(config, out, display=io.StringIO())
        assert losses(out) == losses(whole[0])


def test_no_checkpoint_is_whole(unfinished, tmp_path):
    out, config = shutil.copytree(unfinished[0], tmp_path / "run"), unfinished[1]
    for step in "24":
        (out / "checkpoints" / step / "inventory.json").write_text("")
    with pytest.raises(BadInput, match=r"No other checkpoint in .* is whole"):
        train(config, out, display=io.StringIO())


def test_changes_that_are_allowed_are_shown_and_kept(unfinished, tmp_path):
    out = shutil.copytree(unfinished[0], tmp_path / "run")
    other = differ(unfinished[1], "optimizer", b1=0.8)
    data = make_data(tmp_path / "data", seed=1)
    other = differ(other, "data", path=str(data))
    said = io.StringIO()
    assert train(other, out, display=said, allow_changes=True) == 6
    changed = [
        "optimizer.b1 was 0.9, is 0.8",
        "the manifest of the data was another, so the same steps see other rows",
    ]
    assert f"going on after step 4 with changes: {'; '.join(changed)}" in said.getvalue()
    history = [{"after_step": 4, "changed": changed}]
    lines = (out / "changes.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history
    store = CheckpointStore.open(out / "checkpoints")
    assert store.restore_data(6)["changes"] == history
    assert store.restore_data(6)["config"]["optimizer"]["b1"] == 0.8
    assert store.restore_data(4)["config"]["optimizer"]["b1"] == 0.9
    # From the state before the change, the old configuration is no change.
    assert run.changes(run.find(out, 3, 0), other, sha256(data / "manifest.json"), out, False) == []
    shutil.rmtree(out / "checkpoints" / "6")
    past = run.find(out, 3, 0)
    assert run.changes(past, unfinished[1], past.made["manifest_sha256"], out, False) == []
    with pytest.raises(BadInput, match=r"optimizer\.b1 was 0\.9, is 0\.8"):
        run.changes(past, other, past.made["manifest_sha256"], out, False)


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        ("model", {"ffn_dim": 64}),
        ("model", {"rope_theta": 1e4}),
        ("compute", {"param_dtype": "bfloat16"}),
        ("optimizer", {"name": "muon"}),
        ("optimizer", {"ema_decay": 0.99}),
        ("optimizer", {"frozen": ("layers",)}),
    ],
)
def test_some_changes_cannot_be_allowed(unfinished, section, fields):
    out, config = unfinished
    (name,) = fields
    with pytest.raises(BadInput, match=f"allowed or not: {section}.{name} was .*train.init_from="):
        train(differ(config, section, **fields), out, display=io.StringIO(), allow_changes=True)


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        ("mesh", {"fsdp": 8, "tensor": 1}),
        ("rules", {"state": {"embed": ("data",)}}),
        ("compute", {"attention": "reference"}),
        ("compute", {"remat": "none"}),
        ("compute", {"loss_chunk": 8}),
        ("compute", {"loss_vocab_tile": 8}),
        ("guard", {"patience": 1}),
        ("train", {"accumulate": 2, "keep_every": 4, "keep_checkpoints": 1}),
    ],
)
def test_how_it_is_computed_may_change(run_config, section, fields):
    assert run.differences(run_config, differ(run_config, section, **fields)) == {}


def test_a_similar_name_is_no_free_one(run_config):
    other = differ(differ(run_config, "guard", deviations=3.0), "train", steps=7)
    assert run.differences(run_config, other).keys() == {"guard.deviations", "train.steps"}


def test_what_a_killed_start_leaves_is_no_other_thing(run_config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").touch()
    (tmp_path / "run" / ".config.yaml.incomplete-abc").touch()
    assert run.find(tmp_path / "run", 3, 0) == run.Past()


def test_a_run_that_is_being_written_is_left_alone(unfinished):
    out, config = unfinished
    handle = os.open(out / "lock", os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(BadInput, match="is being written by process"):
            train(config, out, display=io.StringIO())
    finally:
        os.close(handle)


@pytest.mark.parametrize(
    ("section", "fields", "message"),
    [
        ("model", {"vocab_size": 2048}, r"model.vocab_size \(2048\) is a vocabulary smaller than"),
        (
            "model",
            {"max_positions": 16},
            "is more than model.max_positions",
        ),
        ("model", {"kv_heads": 1}, "attention: .*act_kv_heads of 1 .*tensor=2"),
        ("mesh", {"tensor": 3}, "needs 12 devices, but there are 8"),
        ("data", {"batch_rows": 6}, "batch of 6"),
        ("data", {"row_length": 64}, "rows of 32 tokens"),
        ("data", {"path": ""}, "data.path is empty"),
        ("data", {"mixture": {"zinc": 1.0}}, "no source zinc"),
        ("rules", {"embed": ("tensor",)}, "both use the mesh axis tensor"),
        ("train", {"init_from": "nowhere"}, "nowhere"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    section, fields, message, run_config, tmp_path
):
    out = tmp_path / "run"
    with pytest.raises(BadInput, match=message):
        train(differ(run_config, section, **fields), out, display=io.StringIO())
    assert not out.exists()


@pytest.mark.parametrize("name", ["run[1]", "run*"])
def test_a_place_whose_checkpoints_could_not_be_read_is_refused(run_config, tmp_path, name):
    with pytest.raises(BadInput, match="checkpoints cannot lie under a path with"):
        train(run_config, tmp_path / name, display=io.StringIO())
    assert not list(tmp_path.iterdir())


def test_a_diverged_run_ends_and_names_the_checkpoint_from_before(
    run_config, tmp_path, monkeypatch
):
    made = loop.make_step

    def spoilt(config, mesh):
        """A step of which every update from the fifth on is skipped."""
        step = made(config, mesh)

        def train(state, batch):
            state, metrics = step.train(state, batch)
            bad = state.step > 4
            row = jnp.where(bad, state.step - 4, 0)
            loss = jnp.where(bad, jnp.nan, metrics.loss)
            return state, metrics._replace(loss=loss, skipped=bad, skipped_in_a_row=row)

        return dataclasses.replace(step, train=jax.jit(train, donate_argnums=0))

    monkeypatch.setattr(loop, "make_step", spoilt)
    patient = differ(differ(run_config, "guard", patience=2), "train", steps=20)
    display = io.StringIO()
    with pytest.raises(BadInput, match=r"the last 3 steps up to step 7 .* step 3 is its last good"):
        train(patient, tmp_path / "run", display=display)
    lines = metrics.read(tmp_path / "run" / metrics.FILE)
    assert [line["step"] for line in lines if line.get("skipped")] == [5, 6, 7]
    assert "step 6: update skipped, loss nan, gradient norm" in display.getvalue()
    assert "(2 in a row" in display.getvalue()
    assert "nan" not in (tmp_path / "run" / "report.html").read_text().lower()


def test_a_directory_that_is_no_run_is_left_alone(run_config, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BadInput, match="is not a run"):
        train(run_config, tmp_path, display=io.StringIO())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_resuming_as_another_run_lists_the_differences(whole, run_config):
    other = differ(differ(run_config, "optimizer", b1=0.8), "train", seed=3, keep_checkpoints=9)
    with pytest.raises(BadInput) as error:
        train(other, whole[0], display=io.StringIO())
    assert "optimizer.b1 was 0.9, is 0.8; train.seed was 0, is 3. " in str(error.value)
    assert "--allow-changes" in str(error.value)
    assert "keep_checkpoints" not in str(error.value)


def test_resuming_on_other_data_is_refused_wherever_they_lie(whole, run_config, tmp_path):
    unfinished = shutil.copytree(whole[0], tmp_path / "run")
    shutil.rmtree(unfinished / "checkpoints" / "6")
    other = differ(run_config, "data", path=str(make_data(tmp_path / "data", seed=1)))
    with pytest.raises(BadInput, match="the manifest of the data was another"):
        train(other, unfinished, display=io.StringIO())


def test_a_run_starts_from_the_weights_of_another(whole, run_config, tmp_path):
    before = whole[0] / "checkpoints" / "6"
    start = differ(run_config, "train", init_from=str(before), steps=1, seed=2**32 - 1)
    train(start, tmp_path / "run", display=io.StringIO())
    assert losses(tmp_path / "run")[1] < losses(whole[0])[1] - 0.5
    to_hf(before, tmp_path / "hf")  # weights alone travel, and the run says so
    said = io.StringIO()
    train(differ(start, "train", init_from=str(tmp_path / "hf")), tmp_path / "hf run", display=said)
    assert "optimizer, schedule and data begin anew at step 0" in said.getvalue()
    assert losses(tmp_path / "hf run") == losses(tmp_path / "run")
    extend_tokenizer(
        base_tokenizer_path(),
        tmp_path / "extended",
        selfies=["[C]"],
        molecule_tokens=[],
        protein_codes=0,
    )
    carried = shutil.copytree(whole[0], tmp_path / "other tokens") / "checkpoints"
    head = json.loads((carried / "model.json").read_text())
    shutil.copy(tmp_path / "extended" / "tokenizer.json", carried / "hf")
    head["carried"]["tokenizer.json"] = sha256(carried / "hf" / "tokenizer.json")
    (carried / "model.json").write_text(json.dumps(head))
    with pytest.raises(BadInput, match=r"token 2307 is '.*' in .*hf, but None in the data"):
        train(
            differ(start, "train", init_from=str(carried)),
            tmp_path / "other",
            display=io.StringIO(),
        )
    larger = differ(start, "model", vocab_size=2336)
    with pytest.raises(BadInput, match=r"model.vocab_size is 2320 there, 2336 here"):
        train(larger, tmp_path / "other", display=io.StringIO())
    assert not (tmp_path / "other").exists()
