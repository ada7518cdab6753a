import dataclasses
import re

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P

from biomatrix_jax.config import ComputeConfig, MeshConfig, ModelConfig, ShardingRules
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model import Decoder
from biomatrix_jax.sharding import constrain, make_mesh, parameter_shardings, spec
from biomatrix_jax.sharding.rules import PARAMETER_AXES, batch_sharding, check_batch, state_rules

RULES = ShardingRules()
MODEL = ModelConfig(
    vocab_size=64, embed_dim=32, layers=2, heads=4, kv_heads=2, head_dim=16, ffn_dim=48
)


@pytest.fixture(scope="module")
def mesh():
    return make_mesh(MeshConfig(fsdp=4, tensor=2))


def parameters(model=MODEL):
    return nnx.state(nnx.eval_shape(lambda: Decoder(model, rngs=nnx.Rngs(0))), nnx.Param)


def test_spec_follows_the_table():
    assert spec(RULES, ("layers", "heads", "head_dim", "embed")) == P(
        None, ("tensor",), None, ("fsdp",)
    )
    assert spec(RULES, ("batch", "length")) == P(("slice", "data", "fsdp"), ("context",))


def test_a_mesh_axis_used_twice_names_both_logical_axes():
    rules = dataclasses.replace(RULES, embed=("fsdp", "tensor"))
    with pytest.raises(BadInput, match=r"rules.ffn and rules.embed both use the mesh axis tensor"):
        spec(rules, ("layers", "ffn", "embed"))


def test_an_unknown_mesh_axis_is_named(mesh):
    rules = dataclasses.replace(RULES, vocab=("model",))
    with pytest.raises(BadInput, match=r"rules.vocab names the mesh axis model.*fsdp, context"):
        parameter_shardings(mesh, rules, parameters())


def test_a_logical_axis_without_a_rule_is_named():
    with pytest.raises(BadInput, match="logical axis experts"):
        spec(RULES, ("experts", "embed"))


def test_parameter_shardings_keep_the_tree(mesh):
    state = parameters()
    placed = parameter_shardings(mesh, RULES, state)
    assert jax.tree.structure(placed) == jax.tree.structure(state)
    pieces = jax.tree.map(lambda s, x: s.shard_shape(x.shape), placed, state)
    assert pieces.layers.attention.q.get_value() == (2, 2, 16, 8)
    assert pieces.layers.ffn.down.get_value() == (2, 8, 24)
    assert pieces.embedding.table.get_value() == (32, 8)
    assert pieces.layers.attention_norm.scale.get_value() == (2, 32)


def test_a_dimension_that_does_not_divide_names_the_parameter_and_the_way_out():
    mesh = make_mesh(MeshConfig(fsdp=2, tensor=4))
    message = (
        r"layers.attention.k: .*kv_heads of 2 is not a multiple of the mesh's tensor=4, .*"
        r"change the mesh, or set rules.kv_heads=\[\] and rules.act_kv_heads=\[\]"
    )
    with pytest.raises(BadInput, match=message) as error:
        parameter_shardings(mesh, RULES, parameters())
    assert "\n" not in str(error.value)
    rules = dataclasses.replace(RULES, kv_heads=(), act_kv_heads=())
    parameter_shardings(mesh, rules, parameters())  # that way out


@pytest.mark.parametrize(
    ("change", "sizes", "message"),
    [
        ({"heads": 6}, {"tensor": 4}, r"attention.\w: .*heads of 6 .*rules.act_heads"),
        ({"vocab_size": 66}, {"tensor": 4}, "embedding.table: .*vocab of 66 .*rules.act_vocab"),
        ({"ffn_dim": 50}, {"tensor": 4}, r"ffn.\w+: .*ffn of 50 .*tensor=4"),
        ({"embed_dim": 36}, {"fsdp": 8}, r"embed of 36 .*fsdp=8.*set rules.embed=\[\] to have"),
    ],
)
def test_every_dimension_of_the_model_must_divide(change, sizes, message):
    rules = dataclasses.replace(RULES, kv_heads=())
    mesh = make_mesh(MeshConfig(**sizes))
    with pytest.raises(BadInput, match=message):
        parameter_shardings(mesh, rules, parameters(dataclasses.replace(MODEL, **change)))


def test_a_batch_must_divide_the_mesh(mesh):
    check_batch(mesh, RULES, 8, 30)
    with pytest.raises(BadInput, match=r"6 rows of 30 tokens .*dimension batch of 6 .*fsdp=4"):
        check_batch(mesh, RULES, 6, 30)
    with pytest.raises(BadInput, match=r"dimension length of 30 .*context=4.*or the batch's size"):
        check_batch(make_mesh(MeshConfig(context=4)), RULES, 8, 30)
    both = make_mesh(MeshConfig(data=2, fsdp=4))
    with pytest.raises(BadInput, match=r"batch of 12 .*data=2 x fsdp=4"):
        check_batch(both, RULES, 12, 30)


def test_every_part_of_a_batch_must_divide_the_mesh(mesh):
    check_batch(mesh, RULES, 16, 30, parts=4)
    with pytest.raises(
        BadInput, match=r"accumulate=8 parts of a batch of 16 .*batch of 2 .*fsdp=4"
    ):
        check_batch(mesh, RULES, 16, 30, parts=8)
    with pytest.raises(BadInput, match=r"data.batch_rows \(16\) .*train.accumulate \(3\)"):
        check_batch(mesh, RULES, 16, 30, parts=3)


def test_constrain_places_an_activation(mesh):
    pin = constrain(mesh, RULES)
    x = jax.jit(lambda: pin(jnp.zeros((8, 4, 6)), ("batch", "length", "act_heads")))()
    assert x.sharding.shard_shape(x.shape) == (2, 4, 3)
    assert batch_sharding(mesh, RULES).shard_shape((8, 4)) == (2, 4)


def test_constrain_refuses_what_does_not_divide(mesh):
    with pytest.raises(BadInput, match=r"dimension act_heads of 5 .*tensor=2"):
        constrain(mesh, RULES)(jnp.zeros((8, 5)), ("batch", "act_heads"))


def test_of_a_split_row_only_keys_and_values_are_gathered():
    config = dataclasses.replace(MODEL, embed_dim=64)  # wider than keys or values: 2 x 16
    mesh = make_mesh(MeshConfig(fsdp=1, context=4), jax.devices()[:4])
    compute, pin = ComputeConfig("float32", remat="none"), constrain(mesh, RULES)
    model = nnx.eval_shape(lambda: Decoder(config, compute, rngs=nnx.Rngs(0), constrain=pin))
    graphdef, state = nnx.split(model)
    tokens = jax.ShapeDtypeStruct((2, 48), jnp.int32, sharding=batch_sharding(mesh, RULES))
    hidden = jax.jit(
        lambda state, tokens, segments, positions: nnx.merge(graphdef, state).hidden(
            tokens, segments, positions
        ),
        in_shardings=(parameter_shardings(mesh, RULES, state), *[tokens.sharding] * 3),
    )
    program = hidden.lower(state, tokens, tokens, tokens).compile().as_text()
    gathered = re.findall(r" = f32\[([\d,]+)\]\S* all-gather\(", program)
    assert gathered == ["2,48,2,16"] * 2


def test_state_rules_replace_only_what_they_name():
    rules = ShardingRules(embed=(), state={"embed": ("fsdp",), "vocab": ("tensor", "context")})
    found = state_rules(rules)
    assert found == dataclasses.replace(
        rules, embed=("fsdp",), vocab=("tensor", "context"), state={}
    )
    assert state_rules(RULES) == RULES


@pytest.mark.parametrize(
    ("axis", "hint"),
    [
        ("embeds", "did you mean embed"),
        ("act_vocab", "did you mean vocab"),
        ("q", "they are layers"),
    ],
)
def test_state_rules_of_an_unknown_axis(axis, hint):
    with pytest.raises(BadInput, match=rf"rules.state.{axis} is no logical axis.*{hint}") as error:
        state_rules(ShardingRules(state={axis: ("fsdp",)}))
    assert "\n" not in str(error.value)


def test_state_rules_pass_the_checks_of_all_rules(mesh):
    collide = state_rules(ShardingRules(state={"ffn": ("fsdp",)}))
    with pytest.raises(BadInput, match=r"rules.embed and rules.ffn both use the mesh axis fsdp"):
        parameter_shardings(mesh, collide, parameters())


def test_parameters_have_the_axes_that_are_said_to_be_theirs():
    named = {axis for v in variables(parameters()) for axis in v.get_metadata()["axes"]}
    assert named == set(PARAMETER_AXES)


def variables(state):
    is_variable = {"is_leaf": lambda node: isinstance(node, nnx.Variable)}
    return jax.tree.leaves(state, **is_variable)
