import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from flax import nnx

from biomatrix_jax.config import (
    ComputeConfig,
    MeshConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    ShardingRules,
    from_dict,
)
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model import Decoder
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.sharding.rules import parameter_shardings
from biomatrix_jax.train.optimizer import learning_rate, make_optimizer

CONFIG = OptimizerConfig(peak_learning_rate=0.1, warmup_steps=4, final_fraction=0.2)
MODEL = ModelConfig(
    vocab_size=16, embed_dim=8, layers=2, heads=2, kv_heads=1, head_dim=4, ffn_dim=8
)


def parameters(dtype="float32", model=MODEL):
    shapes = nnx.eval_shape(
        lambda: Decoder(model, ComputeConfig(param_dtype=dtype), rngs=nnx.Rngs(0))
    )
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda s: jnp.asarray(rng.standard_normal(s.shape), s.dtype), nnx.state(shapes, nnx.Param)
    )


@pytest.fixture(scope="module")
def params():
    return parameters()


@pytest.fixture(scope="module")
def first_update(params):
    """gradients -> (ascents, optimizer state)"""
    optimizer = make_optimizer(CONFIG, params)
    return jax.jit(lambda gradients: optimizer.update(gradients, optimizer.init(params), params))


@pytest.mark.parametrize(
    ("update", "rate"),
    [
        (1, 0.025),
        (2, 0.05),
        (4, 0.1),  # the peak is reached at the end of the warm-up
        (5, 0.02 + 0.08 * (1 + math.cos(math.pi / 6)) / 2),
        (7, 0.06),
        (10, 0.02),  # and the final fraction exactly at the last update
        (11, 0.02),
    ],
)
def test_schedule(update, rate):
    assert float(learning_rate(CONFIG, 10)(update - 1)) == pytest.approx(rate, rel=1e-6)


def test_schedule_without_warm_up_starts_just_below_the_peak():
    config = OptimizerConfig(peak_learning_rate=0.1, warmup_steps=0, final_fraction=0)
    assert float(learning_rate(config, 2)(0)) == pytest.approx(0.05)
    assert float(learning_rate(config, 2)(1)) == pytest.approx(0)


@pytest.mark.parametrize(
    ("shape", "update", "rate"),
    [
        ("linear", 1, 0.025),
        ("linear", 4, 0.1),
        ("linear", 5, 0.1),  # stable where a cosine has begun to fall
        ("linear", 12, 0.1),  # the last at the peak: 8 of 20 updates decay
        ("linear", 13, 0.02 + 0.08 * 7 / 8),
        ("linear", 14, 0.08),
        ("linear", 20, 0.02),
        ("linear", 21, 0.02),
        ("sqrt", 12, 0.1),
        ("sqrt", 14, 0.06),  # a quarter of the way down the root is a half
        ("sqrt", 20, 0.02),
    ],
)
def test_warm_up_stable_decay(shape, update, rate):
    config = dataclasses.replace(CONFIG, schedule="wsd", decay_fraction=0.4, decay_shape=shape)
    assert float(learning_rate(config, 20)(update - 1)) == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize(
    ("fraction", "steps", "rates"),
    [
        (0.01, 6, {5: 0.1, 6: 0.02}),  # no whole update: the last one
        (0.9, 10, {3: 0.075, 4: 0.1, 7: 0.06, 10: 0.02}),  # reaches into the warm-up: after it
        (1, 3, {3: 0.075}),  # shorter than the warm-up
    ],
)
def test_a_decay_that_does_not_fit_its_run(fraction, steps, rates):
    schedule = learning_rate(
        dataclasses.replace(CONFIG, schedule="wsd", decay_fraction=fraction), steps
    )
    assert {n: float(schedule(n - 1)) for n in rates} == pytest.approx(rates, rel=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "sgd"}, "optimizer.name must be 'adamw', 'adafactor' or 'muon', not 'sgd'"),
        ({"schedule": "step"}, "optimizer.schedule must be 'cosine' or 'wsd', not 'step'"),
        ({"decay_shape": "cube"}, "optimizer.decay_shape must be 'linear' or 'sqrt', not 'cube'"),
        ({"decay_fraction": 0}, "decay_fraction must be above 0 and up to 1, not 0"),
        ({"decay_fraction": 1.5}, "decay_fraction must be above 0 and up to 1, not 1.5"),
    ],
)
def test_what_is_not_a_choice(values, message):
    with pytest.raises(BadInput, match=message):
        from_dict(RunConfig, {"optimizer": values}, "here")


def test_only_matrices_decay(params, first_update):
    updates, _ = first_update(jax.tree.map(np.zeros_like, params))
    flat = dict(nnx.to_flat_state(updates))
    for path, param in nnx.to_flat_state(params):
        expected = 0 if path[-1] == "scale" else CONFIG.weight_decay * param.get_value()
        np.testing.assert_allclose(flat[path].get_value(), expected, rtol=1e-5)
    assert {path[-1] for path in flat} > {"scale", "table", "down"}


def test_gradients_are_clipped_by_their_global_norm(params, first_update):
    _, state = first_update(jax.tree.map(np.ones_like, params))
    moment = optax.tree.get(state, "mu")
    count = sum(x.size for x in jax.tree.leaves(params))
    for leaf in jax.tree.leaves(moment):
        np.testing.assert_allclose(leaf, (1 - CONFIG.b1) / math.sqrt(count), rtol=1e-5)


def test_first_update_is_adamw_by_hand(params, first_update):
    gradients = jax.tree.map(lambda p: 1e-4 * np.cos(100 * np.asarray(p)), params)
    updates, _ = first_update(gradients)
    g, p = gradients.layers.ffn.down.get_value(), params.layers.ffn.down.get_value()
    # At the first update the bias-corrected moments are g and g * g.
    expected = g / (jnp.abs(g) + CONFIG.eps) + CONFIG.weight_decay * p
    np.testing.assert_allclose(updates.layers.ffn.down.get_value(), expected, rtol=2e-5)


@pytest.mark.parametrize("name", ["adamw", "adafactor", "muon"])
def test_moments_are_float32_for_bfloat16_parameters(name):
    params = parameters("bfloat16")
    optimizer = make_optimizer(dataclasses.replace(CONFIG, name=name), params)
    gradients = jax.tree.map(np.ones_like, params)
    _, state = jax.eval_shape(optimizer.update, gradients, optimizer.init(params), params)
    floats = [x.dtype for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert set(floats) == {jnp.dtype("float32")}


WIDE = ModelConfig(  # sides of 128 and more, which Adafactor factors; heads and head_dim below it
    vocab_size=160, embed_dim=128, layers=2, heads=4, kv_heads=2, head_dim=64, ffn_dim=192
)


def unstacked(params):
    """[(what the optimizer should see, where it is: path and layer)], a matrix a layer."""
    for path, param in nnx.to_flat_state(params):
        values = np.asarray(param.get_value())
        for layer in range(WIDE.layers) if path[0] == "layers" else (...,):
            one = values[layer]
            if path[-1] in "qkv":
                one = one.reshape(-1, WIDE.embed_dim)  # [N * H, D]
            elif path[-1] == "o":
                one = one.reshape(WIDE.embed_dim, -1)
            yield (path, layer), one


@functools.cache
def directly(name, of_a_layer, is_matrix):
    """Two ascents of one unstacked parameter by optax alone."""
    decay = CONFIG.weight_decay if is_matrix else 0
    if name == "adafactor":
        scale = optax.adafactor(multiply_by_parameter_scale=False)  # a descent, without a rate
        optimizer = optax.chain(scale, optax.scale(-1), optax.add_decayed_weights(decay))
    elif of_a_layer and is_matrix:
        optimizer = optax.contrib.muon(-1.0, consistent_rms=0.2, weight_decay=decay)
    else:
        b1, b2, eps = CONFIG.b1, CONFIG.b2, CONFIG.eps
        optimizer = optax.adamw(-1.0, b1=b1, b2=b2, eps=eps, weight_decay=decay)
    return jax.jit(functools.partial(two_updates, optimizer))


def two_updates(optimizer, params, first, second):
    """The second update of `params` as they are; the first only fills the state."""
    _, state = optimizer.update(first, optimizer.init(params), params)
    return optimizer.update(second, state, params)[0]


@pytest.mark.parametrize("name", ["adafactor", "muon"])
def test_two_updates_are_those_of_optax_on_each_layers_matrix_and_the_same_on_a_mesh(name):
    config = OptimizerConfig(name=name, clip_norm=1e9)
    params = parameters(model=WIDE)

    def gradient(n, p):
        # The second layer's grows fourfold: a statistic taken over both layers would show.
        growth = (1 + 3 * (jnp.arange(len(p)) % 2)) ** n
        return jnp.sin(p * 9 + n) * p * jnp.expand_dims(growth, range(1, p.ndim))

    gradients = [jax.tree.map(functools.partial(gradient, n), params) for n in (0, 1)]
    two = jax.jit(functools.partial(two_updates, make_optimizer(config, params)))
    updates = two(params, *gradients)
    first, second, found = (dict(unstacked(tree)) for tree in (*gradients, updates))
    for (path, layer), value in unstacked(params):
        at = path, layer
        direct = directly(name, path[0] == "layers", value.ndim > 1)
        expected = direct(value, first[at], second[at])
        np.testing.assert_allclose(found[at], expected, rtol=2e-3, atol=1e-5, err_msg=str(at))

    mesh = make_mesh(MeshConfig(slice=2, fsdp=2, tensor=2), jax.devices())
    placed = parameter_shardings(mesh, ShardingRules(), params)
    on_mesh = two(*(jax.device_put(tree, placed) for tree in (params, *gradients)))
    for here, there in zip(jax.tree.leaves(on_mesh), jax.tree.leaves(updates), strict=True):
        np.testing.assert_allclose(here, there, rtol=2e-3, atol=1e-5)


def test_adafactor_keeps_rows_and_columns_alone():
    params = parameters(model=WIDE)
    optimizer = make_optimizer(OptimizerConfig(name="adafactor"), params)
    state = jax.eval_shape(optimizer.init, params)
    assert sum(x.size for x in jax.tree.leaves(state)) < 0.04 * sum(
        x.size for x in jax.tree.leaves(params)
    )
