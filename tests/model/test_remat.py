"""Rematerialisation changes what is kept and computed again, never what comes out."""

import functools
import re
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from biomatrix_jax.config import ComputeConfig, MeshConfig, ModelConfig, Remat, ShardingRules
from biomatrix_jax.model import Decoder
from biomatrix_jax.model.attention import reference, tiled
from biomatrix_jax.model.attention.choose import choose
from biomatrix_jax.sharding import make_mesh
from biomatrix_jax.sharding.rules import batch_sharding, constrain, parameter_shardings

POLICIES = typing.get_args(Remat)
MODEL = ModelConfig(64, embed_dim=64, layers=3, heads=4, kv_heads=2, head_dim=16, ffn_dim=128)
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 64, (2, 128)), jnp.int32)


def gradient_of(remat, attend, tokens=TOKENS):
    """(a function from the decoder's state to its gradient, the state)."""
    graphdef, state = nnx.split(
        Decoder(MODEL, ComputeConfig("float32", remat=remat), rngs=nnx.Rngs(0), attend=attend)
    )
    loss = lambda state: jnp.square(nnx.merge(graphdef, state).hidden(tokens)[..., 0]).mean()  # noqa: E731
    return jax.grad(loss), state


@functools.cache
def compiled(remat):
    gradient, state = gradient_of(remat, tiled.attend)
    return jax.jit(gradient).lower(state).compile(), state


@pytest.mark.parametrize("remat", [policy for policy in POLICIES if policy != "none"])
def test_every_policy_gives_the_same_gradients(remat):
    ours, theirs = (
        jax.tree.leaves(program(state)) for program, state in map(compiled, (remat, "none"))
    )
    for got, want in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_what_a_policy_promises_to_save_in_memory_it_saves():
    temporary = {
        remat: compiled(remat)[0].memory_analysis().temp_size_in_bytes
        for remat in ("none", "minimal", "attention_saved", "full")
    }
    assert list(temporary) == sorted(temporary, key=temporary.get, reverse=True), temporary
    a_token = (2 * MODEL.heads + 2 * MODEL.kv_heads) * MODEL.head_dim + 2 * MODEL.ffn_dim
    products = 4 * MODEL.layers * TOKENS.size * a_token
    assert temporary["minimal"] - temporary["attention_saved"] > 0.5 * products


def test_a_kernels_forward_pass_runs_again_only_where_nothing_of_it_is_kept():
    loops = {remat: compiled(remat)[0].as_text().count(" while(") for remat in POLICIES}
    kept = {loops[remat] for remat in ("none", "minimal", "offload", "attention_saved")}
    assert kept == {loops["full"] - 1}  # a pass of this kernel is a loop
    assert loops["dots"] == loops["full"]


def products_again(remat) -> int:
    gradient, state = gradient_of(remat, reference.attend)
    return str(jax.make_jaxpr(gradient)(state)).count("dot_general[")


def test_minimal_computes_no_product_with_a_weight_again():
    again = {remat: products_again(remat) - products_again("none") for remat in POLICIES}
    # Of the reference the scores are computed again where only its output is kept, and its output
    # where not even that; q, k, v, o, gate and up are six more. `down`'s product nobody needs.
    assert again == {
        "none": 0, "dots": 2, "minimal": 1, "offload": 1, "attention_saved": 7, "full": 8
    }  # fmt: skip


@pytest.mark.slow
def test_a_tpus_compiler_keeps_what_the_policy_says_and_where():
    pytest.importorskip("libtpu", reason="compiling for a TPU needs libtpu")
    from biomatrix_jax.plan.topology import find_devices

    model = ModelConfig(512, embed_dim=256, layers=12, heads=2, kv_heads=1, ffn_dim=512)
    mesh, rules = make_mesh(MeshConfig(context=2), find_devices("v5p:2x2x1")), ShardingRules()

    def compile_(remat):
        compute = ComputeConfig(remat=remat)
        attention = choose(compute, model, mesh, rules, 512)
        make = functools.partial(
            Decoder, model, compute, constrain=constrain(mesh, rules), attend=attention.attend
        )
        graphdef, state = nnx.split(nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0))))
        lie = parameter_shardings(mesh, rules, state)
        batch = jax.ShapeDtypeStruct((8, 512), jnp.int32, sharding=batch_sharding(mesh, rules))

        def loss(state, tokens, segments, positions):
            given = {"tokens": tokens, "segments": segments, "positions": positions}
            hidden = nnx.merge(graphdef, state).hidden(*attention.arrange(given).values())
            return jnp.square(hidden.astype(jnp.float32)).mean()

        step = jax.jit(jax.grad(loss), in_shardings=(lie, *[batch.sharding] * 3), out_shardings=lie)
        program = step.lower(state, batch, batch, batch).compile()
        kernels = re.findall(r"%splash_mha_(fwd|dkv)[^\n]* custom-call\(", program.as_text())
        return program.memory_analysis(), kernels.count("fwd") / kernels.count("dkv")

    found = {remat: compile_(remat) for remat in ("minimal", "attention_saved", "full", "offload")}
    # A compiler may unroll a loop, so it is how often the forward pass runs for each backward one.
    assert {remat: passes for remat, (_, passes) in found.items()} == {
        "minimal": 1, "attention_saved": 1, "full": 2, "offload": 1
    }  # fmt: skip
    device = {remat: memory.temp_size_in_bytes for remat, (memory, _) in found.items()}
    host = {remat: memory.host_temp_size_in_bytes for remat, (memory, _) in found.items()}
    assert device["minimal"] > device["attention_saved"] > device["full"]
    # A device has two rows' halves. Of a token q and attention are 256 numbers, k and v 128, o 256,
    # gate and up 512, in two bytes each.
    kept = model.layers * 1024 * 2 * (3 * 256 + 2 * 128 + 2 * 512)
    assert host["offload"] >= kept
    assert device["offload"] <= device["minimal"] - 0.5 * kept
    assert host["minimal"] == 0
