"""Rows shared over `context`: what it saves of memory, and that it changes nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from biomatrix_jax.config import ComputeConfig, MeshConfig, ModelConfig, ShardingRules
from biomatrix_jax.model import Decoder
from biomatrix_jax.model.attention.choose import choose
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.sharding.rules import batch_sharding, constrain, parameter_shardings
from tests.model.attention.packed import rows_of

MODEL = ModelConfig(64, embed_dim=32, layers=2, heads=2, kv_heads=1, head_dim=16, ffn_dim=64)
RULES = ShardingRules()
COMPUTE = ComputeConfig("float32", attention="tiled")


def gradient_on(context: int, length: int):
    """(the compiled gradient of the mean of squares, the state that it is of)."""
    mesh = make_mesh(MeshConfig(fsdp=1, context=context), jax.devices()[:context])
    attention = choose(COMPUTE, MODEL, mesh, RULES, length)
    make = functools.partial(
        Decoder, MODEL, COMPUTE, constrain=constrain(mesh, RULES), attend=attention.attend
    )
    graphdef, state = nnx.split(make(rngs=nnx.Rngs(0)))
    lie = parameter_shardings(mesh, RULES, state)
    batch = jax.ShapeDtypeStruct((1, length), jnp.int32, sharding=batch_sharding(mesh, RULES))

    def loss(state, tokens, segments, positions):
        given = {"tokens": tokens, "segments": segments, "positions": positions}
        hidden = nnx.merge(graphdef, state).hidden(*attention.arrange(given).values())
        return jnp.square(hidden[..., 0]).mean()

    step = jax.jit(jax.grad(loss), in_shardings=(lie, *[batch.sharding] * 3), out_shardings=lie)
    return step.lower(state, batch, batch, batch).compile(), jax.device_put(state, lie), batch


def test_memory_falls_as_devices_share_a_row_of_32768_tokens():
    bytes_on = {
        context: gradient_on(context, 32_768)[0].memory_analysis().temp_size_in_bytes
        for context in (2, 8)
    }
    # Four times as many devices. The gathered keys and values stay as long as the row.
    assert bytes_on[8] < bytes_on[2] / 3, bytes_on


def test_sharing_a_row_changes_no_gradient():
    rows = rows_of([[300, 1, 1, 150]], 512)
    tokens = np.random.default_rng(0).integers(0, 64, (1, 512)).astype(np.int32)

    def run(context):
        step, state, batch = gradient_on(context, 512)
        given = (tokens, rows.q_segments, rows.q_positions)
        return jax.tree.leaves(step(state, *jax.device_put(given, batch.sharding)))

    for shared, alone in zip(run(8), run(1), strict=True):
        np.testing.assert_allclose(shared, alone, rtol=1e-4, atol=1e-6)
