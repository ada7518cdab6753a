"""Whole trainings of a small model: reproducible, resumable, and the same on eight devices."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from biomatrix_jax.config import MeshConfig, ShardingRules
from biomatrix_jax.errors import BadInput
from biomatrix_jax.sharding.mesh import make_mesh
from biomatrix_jax.structure.protein import ProteinTokenizer
from biomatrix_jax.structure.protein.training.data import Sampler, prepare
from biomatrix_jax.structure.protein.training.step import make_step
from biomatrix_jax.structure.protein.training.trainer import export, train


def lines(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def tensors(out):
    from safetensors.numpy import load_file

    return load_file(out / "weights/model.safetensors")


def on_one(config, chains, out, **changes):
    config = dataclasses.replace(config, **changes)
    train(config, chains, out, devices=jax.devices()[:1])
    return out


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory):
    """Programs that are alike are compiled by the first training that needs them."""
    from jax.experimental.compilation_cache import compilation_cache

    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update(names[0], str(tmp_path_factory.mktemp("programs")))
    jax.config.update(names[1], 0.5)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def once(config, chains, tmp_path_factory, compiled_once):
    return on_one(config, chains, tmp_path_factory.mktemp("training") / "once")


@pytest.mark.slow
def test_a_training_writes_what_it_promises_and_can_be_repeated(once, config, chains, tmp_path):
    found = lines(once)
    assert [line["step"] for line in found] == list(range(6))
    # The codebook comes after the continuous steps; held-out chains are measured when due.
    assert [line["step"] for line in found if "commitment" in line] == [2, 3, 4, 5]
    assert [line["step"] for line in found if "held_out_rmsd" in line] == [2, 5]
    assert all(np.isfinite(list(line.values())).all() for line in found)
    for line in found[2:]:
        parts = 0.001 * line["aligned"] + 0.01 * line["distance"] + 0.05 * line["direction"]
        parts += 0.05 * line["commitment"] + 10 * line["orthogonality"]
        assert line["loss"] == pytest.approx(parts, rel=1e-5)
        assert 1 <= line["perplexity"] <= line["codes_used"] <= 16

    tokenizer = ProteinTokenizer.from_pretrained(once / "weights")
    codes = tokenizer.encode(chains[2].backbone, chains[2].sequence)
    assert codes.shape == (13,)
    assert codes.min() >= 0

    again = on_one(config, chains, tmp_path / "again")
    for name, value in tensors(once).items():
        np.testing.assert_array_equal(value, tensors(again)[name], err_msg=name)


def test_the_seed_decides_the_weights(config):
    start = make_step(config, make_mesh(config.mesh, jax.devices()[:1])).start
    first, again, other = (
        state.params["head"]["out"]["weight"].get_value() for state in map(start, (0, 0, 1))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).min() > 0


@pytest.mark.slow
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(once, config, chains, tmp_path):
    class Interrupt(Exception):
        pass

    def stop(line):
        if line["step"] == 4:  # after the checkpoint of step 4, one line more than it
            raise Interrupt

    out = tmp_path / "interrupted"
    with pytest.raises(Interrupt):
        train(config, chains, out, stop, jax.devices()[:1])
    assert not (out / "weights").exists()
    assert export(out, tmp_path / "of step 4") == 4
    config_file = tmp_path / "of step 4/config.json"
    assert config_file.read_bytes() == (once / "weights/config.json").read_bytes()
    on_one(config, chains, out)

    def told(line):
        return {key: value for key, value in line.items() if key != "seconds"}

    assert [told(line) for line in lines(out)] == [told(line) for line in lines(once)]
    for name, value in tensors(once).items():
        np.testing.assert_array_equal(value, tensors(out)[name], err_msg=name)

    with pytest.raises(BadInput, match="has other settings"):
        on_one(config, chains, out, seed=5)
    with pytest.raises(BadInput, match="other sizes"):
        small = dataclasses.replace(config.model, neighbours=3)
        again = {"init_from": str(out / "weights"), "continuous_steps": 0, "model": small}
        on_one(config, chains, tmp_path / "other sizes", **again)
    (out / "state.npz").write_bytes((out / "state.npz").read_bytes()[:1000])
    with pytest.raises(BadInput, match="not readable"):
        on_one(config, chains, out)


@pytest.mark.slow
def test_a_training_starts_from_the_weights_of_another(once, config, chains, tmp_path):
    changes = {"init_from": str(once / "weights"), "continuous_steps": 0, "steps": 1}
    out = on_one(config, chains, tmp_path / "more", **changes)
    [line] = lines(out)
    assert line["codes_used"] > 1
    before, after = tensors(once), tensors(out)
    step = 2 * config.optimizer.learning_rate  # Adam's first is about that
    for name in before:
        if "quantizer" not in name:
            assert np.abs(before[name] - after[name]).max() < step, name


@pytest.mark.slow
def test_eight_devices_give_one_devices_losses_and_weights(config, chains):
    sampler = Sampler([prepare(chain) for chain in chains], config.batch, 0)
    ends = []
    for mesh in (MeshConfig(fsdp=1), MeshConfig(data=2, fsdp=2, tensor=2)):
        devices = jax.devices()[: mesh.data * mesh.fsdp * mesh.tensor]
        step = make_step(dataclasses.replace(config, mesh=mesh), make_mesh(mesh, devices))
        state, found = step.start(0), []
        for number in range(2):
            state, metrics = step.train(state, sampler.batch(number), True)
            found.append({name: float(value) for name, value in metrics.items()})
        ends.append((found, state))
    (losses, one), (others, eight) = ends
    # Of the first step all is alike. Then Adam takes steps of full length even where a gradient is
    # nearly zero and its sign a matter of rounding.
    for number, (ours, theirs) in enumerate(zip(losses, others, strict=True)):
        assert ours.keys() == theirs.keys()
        for name in ours:
            allowed = 2e-3 if number else 2e-5
            assert ours[name] == pytest.approx(theirs[name], rel=allowed, abs=1e-6), (number, name)
    leaves = jax.tree.leaves((one.params, one.statistics))
    same = jax.tree.leaves((eight.params, eight.statistics))
    apart = np.concatenate(
        [np.abs(a - np.asarray(b)).reshape(-1) for a, b in zip(leaves, same, strict=True)]
    )
    assert np.median(apart) < 0.01 * config.optimizer.learning_rate
    assert len(eight.params["quantizer"]["codebook"].get_value().addressable_shards) == 8


def test_parameters_and_moments_lie_in_pieces(config):
    mesh = MeshConfig(data=2, fsdp=2, tensor=2)
    state = make_step(dataclasses.replace(config, mesh=mesh), make_mesh(mesh)).state
    q = state.params["encoder"]["layers"]["attention"]["q"].get_value()
    assert q.sharding.shard_shape(q.shape) == (1, 1, 64, 8)  # heads by tensor, width by fsdp
    codebook = state.params["quantizer"]["codebook"].get_value()
    assert codebook.sharding.shard_shape(codebook.shape) == (8, 2)
    moments = [
        leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(state.optimizer)
        if "codebook" in jax.tree_util.keystr(path)
    ]
    assert [x.sharding.shard_shape(x.shape) for x in moments] == [(8, 2), (8, 2)]
    counts = state.statistics["quantizer"]["counts"].get_value()
    assert counts.sharding.shard_shape(counts.shape) == (8,)


def test_what_does_not_fit_is_refused_by_name(config, chains, tmp_path):
    mesh = MeshConfig(data=8, fsdp=1)
    rows = dataclasses.replace(config.batch, residues=32 * 6)
    with pytest.raises(BadInput, match=r"6 chains of 32 \(batch.residues\)"):
        make_step(dataclasses.replace(config, batch=rows), make_mesh(mesh))
    model = dataclasses.replace(
        config.model, encoder=dataclasses.replace(config.model.encoder, embed_dim=20)
    )
    wide = dataclasses.replace(config, model=model, rules=ShardingRules(embed=("data",)))
    with pytest.raises(BadInput, match="embed of 20 is not a multiple"):
        make_step(wide, make_mesh(mesh))
    held = [dataclasses.replace(chain, held_out=True) for chain in chains]
    with pytest.raises(BadInput, match="no chain to train on"):
        on_one(config, held, tmp_path / "none")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="holds no training"):
        on_one(config, chains, tmp_path / "full")
