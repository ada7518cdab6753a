"""One step on every mesh, beside the same step on one device."""

import dataclasses
import itertools
import math
import re

import jax
import numpy as np
import optax
import pytest

from biomatrix_jax.config import MeshConfig, ShardingRules
from biomatrix_jax.plan.topology import find_devices
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.train.step import make_step

from .comparing import compare
from .steps import initial_state, run, small_step

AXES = ("slice", "data", "fsdp", "context", "tensor")
ALL = [
    {axis: size for axis, size in zip(AXES, sizes, strict=True) if size > 1}
    for sizes in itertools.product((1, 2, 4, 8), repeat=len(AXES))
    if math.prod(sizes) == 8
]
# Every axis, with every other that it shares an array with.
OFTEN = [
    {"fsdp": 8},
    {"slice": 2, "fsdp": 2, "tensor": 2},
    {"data": 2, "context": 2, "tensor": 2},
    {"fsdp": 4, "context": 2},
]


def often(sizes):
    return pytest.param(sizes, marks=[] if sizes in OFTEN else pytest.mark.slow, id=name(sizes))


def name(sizes):
    return ",".join(f"{axis}={size}" for axis, size in sizes.items())


@pytest.fixture(scope="module")
def wide(config):
    """Enough heads for 8 devices, still two queries to a key."""
    model = dataclasses.replace(config.model, heads=16, kv_heads=8, head_dim=4)
    return dataclasses.replace(config, model=model)


@pytest.fixture(scope="module")
def start(wide):
    return jax.device_get(initial_state(small_step(wide)))


@pytest.fixture(scope="module")
def alone(wide, start, batch):
    return run(small_step(wide), start, batch)


def assert_same(found, expected):
    """Two runs: gradients, weights after two steps, metrics of both steps."""
    for here, there in zip(found[2], expected[2], strict=True):
        for field, value in here._asdict().items():
            np.testing.assert_allclose(value, getattr(there, field), 2e-5, err_msg=field)
    compare(found[0], expected[0], rtol=1e-4, of_largest=1e-5)
    compare(found[1].params, expected[1].params, rtol=1e-4, of_largest=1e-3)


def test_there_are_35_meshes_of_8_devices():
    assert len(ALL) == math.comb(7, 4)
    assert all(sizes in ALL for sizes in OFTEN)


@pytest.mark.parametrize("sizes", map(often, ALL))
def test_every_mesh_does_what_one_device_does(sizes, alone, start, wide, batch):
    assert_same(run(small_step(wide, **sizes), start, batch), alone)


@pytest.mark.slow
def test_more_devices_than_kv_heads(config, batch):
    """Two kv heads on a tensor axis of 4: every device has both, as the rules then say."""
    step = small_step(config)
    start = jax.device_get(initial_state(step))
    found = run(small_step(config, data=2, tensor=4), start, batch)
    assert found[1].params.layers.attention.k.get_value().sharding.is_fully_replicated
    assert_same(found, run(step, start, batch))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adafactor", "muon"])
def test_every_optimizer_does_what_it_does_on_one_device(optimizer, config, batch):
    config = dataclasses.replace(
        config, optimizer=dataclasses.replace(config.optimizer, name=optimizer)
    )
    step = small_step(config)
    start = jax.device_get(initial_state(step))
    found = run(small_step(config, fsdp=2, context=2, tensor=2), start, batch)
    assert_same(found, run(step, start, batch))


ZERO_1 = ShardingRules(embed=(), state={"embed": ("data", "fsdp")})


def test_state_in_more_pieces_than_the_parameters(alone, start, wide, batch):
    step = small_step(dataclasses.replace(wide, rules=ZERO_1), data=2, fsdp=2, tensor=2)
    found = run(step, start, batch)
    assert_same(found, alone)
    _, state, _ = found
    moments = optax.tree.get(state.optimizer, "nu")
    for tree, embed in ((state.params, 32), (moments, 8)):
        assert shard(tree.embedding.table) == (48, embed)
        assert shard(tree.layers.attention.o) == (2, embed, 8, 4)
        assert shard(tree.layers.ffn.gate) == (2, 24, embed)
        assert shard(tree.layers.ffn_norm.scale) == (2, 32)


def shard(variable):
    return variable.get_value().addressable_shards[0].data.shape


@pytest.mark.slow
def test_gradients_are_scattered_as_they_are_summed(config):
    """As a TPU computes ZeRO-1: no matrix of a layer comes whole out of a sum over devices."""
    pytest.importorskip("libtpu")
    devices = find_devices("v5e:2x4")
    model = dataclasses.replace(
        config.model, vocab_size=1024, embed_dim=256, ffn_dim=1024, head_dim=64
    )
    config = dataclasses.replace(
        config,
        model=model,
        data=dataclasses.replace(config.data, row_length=128),
        rules=dataclasses.replace(ZERO_1, state={"embed": ("fsdp",)}),
    )
    step = make_step(config, make_mesh(MeshConfig(fsdp=8), devices))
    program = step.train.lower(step.state, step.batch).compile().as_text()
    [scattered] = re.findall(r"^%all-reduce-scatter\S* .* -> \((.*\[32,1024\].*)\)", program, re.M)
    # q, o, k, v; gate, up, down.
    shapes = [(4, 64, 32), (32, 4, 64), (2, 64, 32), (2, 64, 32)] + [(1024, 32)] * 2 + [(32, 1024)]
    expected = [",".join(map(str, shape)) for shape in shapes]
    assert sorted(re.findall(r"f32\[([\d,]+)\]", scattered)) == sorted(expected)
