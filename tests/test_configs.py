"""The shipped configurations: reviewed as resolved text, of the published sizes, and laid out."""

import dataclasses
import math

import jax
import pytest
from flax import nnx

from biomatrix_jax.config import MeshConfig, RunConfig, configs_directory, dump, load
from biomatrix_jax.model import Decoder
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.train.step import make_step

CONFIGS = configs_directory()
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_resolved_text_is_up_to_date(name):
    committed = (CONFIGS / "resolved" / f"{name}.yaml").read_text()
    assert committed == dump(load(name)), "run: make configs"


def test_nothing_resolved_lacks_its_configuration():
    assert sorted(path.stem for path in (CONFIGS / "resolved").iterdir()) == NAMES


def parameters(name):
    model = load(name).model
    shapes = nnx.eval_shape(lambda: Decoder(model, rngs=nnx.Rngs(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(shapes, nnx.Param)))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("qwen3_0p6b", 596_049_920),
        ("biomatrix_1p7b", 2_097_800_192),
        # Qwen3-4B's 4,022,468,096 with the larger vocabulary, and the head apart.
        ("biomatrix_4b", 4_022_468_096 - 151_936 * 2560 + 2 * 168_064 * 2560),
    ],
)
def test_parameter_counts_are_the_published_ones(name, count):
    assert parameters(name) == count


@pytest.mark.parametrize("name", ["biomatrix_1p7b", "biomatrix_4b"])
def test_pretraining_sees_the_published_number_of_tokens(name):
    run = load(name)
    tokens = run.train.steps * run.data.batch_rows * run.data.row_length
    assert tokens == pytest.approx(304.4e9, rel=0.005)
    assert run.optimizer.peak_learning_rate == 2e-4
    assert run.optimizer.warmup_steps == 2000


def test_the_published_run_needs_no_setting_but_its_data():
    assert load("biomatrix_1p7b") == RunConfig()


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_lies_on_eight_devices(name):
    run = load(name, ["data.batch_rows=8", "train.accumulate=1"])
    run = dataclasses.replace(run, mesh=MeshConfig(fsdp=4, tensor=2))
    step = make_step(run, make_mesh(run.mesh))
    leaves = jax.tree.leaves(step.state.params)
    held = sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) for leaf in leaves)
    assert held < 1.05 * sum(leaf.size for leaf in leaves) / 8  # all but norms are split
