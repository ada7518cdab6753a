import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from biomatrix_jax.config import MeshConfig, ShardingRules
from biomatrix_jax.model.embedding import look_up
from biomatrix_jax.model.placement import Placement
from biomatrix_jax.sharding.mesh import make_mesh
from biomatrix_jax.sharding.rules import spec

B, T, D, V = 8, 6, 24, 40


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    table = rng.standard_normal((V, D), dtype=np.float32)
    tokens = rng.integers(0, V, (B, T), dtype=np.int32)
    return table, tokens, rng.standard_normal((B, T, D), dtype=np.float32)


def place(**sizes) -> Placement:
    mesh = make_mesh(MeshConfig(**sizes))
    axes = ("batch", "length", "act_embed"), ("vocab", "embed")
    return Placement(*(NamedSharding(mesh, spec(ShardingRules(), a, mesh)) for a in axes))


def test_one_device_takes_rows_and_sums_their_gradients(arrays):
    table, tokens, weights = arrays
    found, pull = jax.vjp(lambda table: look_up(table, tokens, "float32"), table)
    np.testing.assert_array_equal(found, table[tokens])
    expected = np.zeros_like(table)
    np.add.at(expected, tokens, weights)
    np.testing.assert_allclose(pull(jnp.asarray(weights))[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    "sizes",
    [
        {"fsdp": 8},
        {"data": 2, "fsdp": 4},
        {"fsdp": 2, "context": 2, "tensor": 2},
        {"slice": 2, "data": 1, "fsdp": 2, "tensor": 2},
        {"data": 4, "fsdp": 1, "tensor": 2},
    ],
)
def test_pieces_of_a_table_give_what_the_whole_gives(arrays, sizes):
    table, tokens, weights = arrays
    placement = place(**sizes)

    def weighed(table, placement=None):
        return jnp.sum(look_up(table, tokens, "float32", placement) * weights)

    found = jax.jit(look_up, static_argnums=(2, 3))(table, tokens, "float32", placement)
    np.testing.assert_array_equal(found, table[tokens])
    gradient = jax.jit(jax.grad(weighed), static_argnums=1)(table, placement)
    np.testing.assert_allclose(gradient, jax.grad(weighed)(table), atol=1e-5)
    assert gradient.sharding.is_equivalent_to(placement.head, 2)


def test_ids_at_the_ends_of_pieces_in_bfloat16(arrays):
    """Every device has the first and the last row of each piece, several times over."""
    table, _, weights = arrays
    ends = np.r_[0, V // 2 - 1, V // 2, V - 1, V - 1, 0].astype(np.int32)
    tokens = np.tile(ends, (B, 1))
    weights = jnp.asarray(weights, jnp.bfloat16)
    placement = place(fsdp=4, tensor=2)

    def weighed(table):
        found = look_up(table, tokens, "bfloat16", placement)
        return jnp.sum(found.astype(jnp.float32) * weights)

    expected = np.zeros_like(table)
    np.add.at(expected, tokens, np.asarray(weights, np.float32))
    gradient = jax.jit(jax.grad(weighed))(table)
    assert gradient.dtype == jnp.float32
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_an_id_outside_of_the_vocabulary_is_nan_there_only_and_has_no_gradient(arrays):
    table, tokens, _ = arrays
    tokens = tokens.copy()
    tokens[1, 2], tokens[3, 4] = V, -1
    placement = place(fsdp=4, tensor=2)
    found, pull = jax.vjp(lambda table: look_up(table, tokens, "float32", placement), table)
    assert {tuple(place) for place in np.argwhere(np.isnan(found).any(-1))} == {(1, 2), (3, 4)}
    gradient = pull(jnp.ones_like(found))[0]
    assert np.isfinite(gradient).all()
    assert gradient.sum() == (B * T - 2) * D


def test_gradients_of_narrow_activations_are_summed_in_float32():
    table = jnp.zeros((2, 8), jnp.float32)
    tokens = jnp.zeros((1, 4096), jnp.int32)
    gradient = jax.grad(lambda table: look_up(table, tokens, "bfloat16").astype("float32").sum())
    np.testing.assert_array_equal(gradient(table)[0], 4096)  # bfloat16 would stop at 256


def test_no_device_has_the_table_nor_looks_other_devices_rows_up(arrays):
    table, tokens, weights = arrays
    placement = place(data=2, fsdp=4)

    def weighed(table, tokens):
        return jnp.sum(look_up(table, tokens, "float32", placement) * weights)

    tokens_lie = NamedSharding(placement.head.mesh, PartitionSpec(*placement.hidden.spec[:2]))
    lies = (placement.head, tokens_lie)
    compiled = jax.jit(jax.grad(weighed), in_shardings=lies).lower(table, tokens).compile()
    shapes = set(re.findall(r"f32\[([\d,]+)\]", compiled.as_text()))
    assert f"{V},{D // 4}" in shapes  # a piece, so that the whole would show
    assert f"{V},{D}" not in shapes
    assert f"{B // 2},{T},{D // 4}" in shapes  # what the four devices of a group look up
    assert f"{B},{T},{D // 4}" not in shapes
