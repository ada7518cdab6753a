import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from biomatrix_jax.config import MeshConfig
from biomatrix_jax.errors import BadInput
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.train.step import make_step

from .comparing import QUICK
from .steps import compiled, initial_state, on_mesh, place, run, small_step


@pytest.fixture(scope="module")
def start(config):
    return jax.device_get(initial_state(small_step(config)))


@pytest.fixture(scope="module")
def one_device(config):
    step = small_step(config)
    return step, compiled(step)


@pytest.fixture(scope="module")
def alone(one_device, start, batch):
    step, train = one_device
    return run(step, start, batch, train)


def test_a_batch_without_targets_moves_nothing_to_nan(one_device, start, batch):
    step, train = one_device
    empty = {**batch, "loss_weights": np.zeros_like(batch["loss_weights"])}
    _, state, metrics = run(step, start, empty, train)
    assert metrics[0].loss == 0
    assert np.isnan(metrics[0].modality_loss).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def test_the_loss_falls_on_a_batch_seen_again(alone):
    _, _, (first, second) = alone
    assert second.loss < first.loss - 0.01
    assert first.loss == pytest.approx(np.log(96), abs=0.05)  # near uniform at the start


def test_metrics_are_float32_for_bfloat16_parameters(config):
    compute = dataclasses.replace(config.compute, param_dtype="bfloat16")
    step = small_step(dataclasses.replace(config, compute=compute))
    _, metrics = jax.eval_shape(step.train, step.state, step.batch)
    floats = (metrics.loss, metrics.modality_loss, metrics.grad_norm, metrics.learning_rate)
    assert {x.dtype for x in floats} == {jnp.dtype("float32")}


def test_the_state_is_donated(one_device, start, batch):
    step, train = one_device
    state = on_mesh(step, start)
    train(state, place(step, batch))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_initial_state_is_sharded_and_the_same_on_every_mesh(config, start):
    state = initial_state(small_step(config, fsdp=4, tensor=2))
    for a, b in zip(jax.tree.leaves(start), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(a, b)
    assert state.params.layers.ffn.up.get_value().addressable_shards[0].data.shape == (2, 24, 8)
    moment = optax.tree.get(state.optimizer, "mu").embedding.table.get_value()
    assert moment.addressable_shards[0].data.shape == (48, 8)
    assert state.step.sharding.is_fully_replicated


def test_no_device_ever_holds_a_whole_table(config):
    """What each device needs to make the initial state, by the compiler's own account."""
    large = dataclasses.replace(config.model, vocab_size=64_000)
    step = small_step(dataclasses.replace(config, model=large), fsdp=4, tensor=2)
    memory = step.random.lower(0).compile(QUICK).memory_analysis()
    table = 64_000 * large.embed_dim * 4  # bytes
    assert memory.output_size_in_bytes < 1.1 * 6 * table / 8  # two tables, each with two moments
    assert memory.temp_size_in_bytes < table


def test_activations_and_gradients_are_sharded(config):
    """Eight times the devices, so far less memory for each, by the compiler's own account."""
    model = dataclasses.replace(config.model, embed_dim=128, ffn_dim=512, head_dim=32)
    data = dataclasses.replace(config.data, row_length=256)
    config = dataclasses.replace(config, model=model, data=data)

    def memory(**sizes):
        step = small_step(config, **sizes)
        return step.train.lower(step.state, step.batch).compile(QUICK).memory_analysis()

    alone, sharded = memory(), memory(fsdp=4, tensor=2)
    assert sharded.argument_size_in_bytes < alone.argument_size_in_bytes / 7
    assert sharded.temp_size_in_bytes < alone.temp_size_in_bytes / 4


def test_what_does_not_fit_the_mesh_is_refused(config):
    odd = dataclasses.replace(config, data=dataclasses.replace(config.data, batch_rows=6))
    with pytest.raises(BadInput, match="batch of 6"):
        make_step(odd, make_mesh(MeshConfig(fsdp=8)))
    with pytest.raises(BadInput, match=r"attention: .*act_heads of 4 .*tensor=8"):
        make_step(config, make_mesh(MeshConfig(tensor=8)))
