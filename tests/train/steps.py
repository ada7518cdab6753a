"""Training steps on simulated devices, compiled quickly and run from one initial state."""

import dataclasses
import math

import jax
import numpy as np
import optax

from biomatrix_jax.config import MeshConfig
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.train.step import make_step

from .comparing import QUICK


def small_step(config, **sizes):
    """On as many devices as the mesh has, by default one."""
    if sizes.get("tensor", 1) > config.model.kv_heads:  # then every device has them all
        rules = dataclasses.replace(config.rules, kv_heads=(), act_kv_heads=())
        config = dataclasses.replace(config, rules=rules)
    devices = jax.devices()[: math.prod(sizes.values())]
    return make_step(config, make_mesh(MeshConfig(**{"fsdp": 1, **sizes}), devices))


def initial_state(step):
    return step.random.lower(0).compile(QUICK)(0)


def compiled(step):
    return step.train.lower(step.state, step.batch).compile(QUICK)


def on_mesh(step, state):
    return jax.tree.map(lambda x, s: jax.device_put(np.asarray(x), s.sharding), state, step.state)


def place(step, batch):
    return {name: jax.device_put(batch[name], x.sharding) for name, x in step.batch.items()}


def run(step, state, batch, train=None):
    """Two steps on one batch: first moments after the first one, the state, both's metrics.

    The moments are the first step's gradients, clipped, up to a factor. Adafactor has none.
    """
    train = train or compiled(step)
    state, batch = on_mesh(step, state), place(step, batch)
    state, first = train(state, batch)
    moments = jax.device_get([x for _, x in optax.tree.get_all_with_path(state.optimizer, "mu")])
    state, second = train(state, batch)
    return moments, state, jax.device_get((first, second))
