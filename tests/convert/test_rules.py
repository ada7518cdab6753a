"""The name table: complete, its own inverse, and strict both ways."""

import jax
import numpy as np
import pytest

from biomatrix_jax.config import ModelConfig
from biomatrix_jax.convert import rules
from biomatrix_jax.convert.names import Prefixes
from biomatrix_jax.errors import BadInput
from tests.convert import hf
from tests.model import cases

CONFIGS = [*cases.CASES.values(), hf.TIED, hf.UNTIED]


@pytest.mark.parametrize("config", CONFIGS)
def test_names_and_shapes_are_those_of_the_original(config):
    found = {t.name: t.shape for group in rules.tensors(config).values() for t in group}
    assert found == cases.hf_shapes(config)


@pytest.mark.parametrize("config", CONFIGS)
def test_there_and_back_is_the_same(config):
    weights = hf.weights(config)
    flat = rules.from_hf_tensors(config, weights)
    assert {path: array.shape for path, array in flat.items()} == {
        path: shape for path, (shape, _) in rules.parameters(config).items()
    }
    hf.assert_same_bits(rules.to_hf_tensors(config, flat), weights)
    on_device = {path: jax.numpy.asarray(array) for path, array in flat.items()}
    hf.assert_same_bits(rules.to_hf_tensors(config, on_device), weights)


def test_heads_and_layers_are_where_they_belong():
    config = hf.UNTIED
    weights = cases.hf_weights(config)
    flat = rules.from_hf_tensors(config, weights)
    h = config.head_dim
    q = weights["model.layers.1.self_attn.q_proj.weight"]
    o = weights["model.layers.0.self_attn.o_proj.weight"]
    np.testing.assert_array_equal(flat["layers.attention.q"][1, 2], q[2 * h : 3 * h])
    np.testing.assert_array_equal(flat["layers.attention.o"][0, :, 1], o[:, h : 2 * h])
    np.testing.assert_array_equal(flat["head.table"], weights["lm_head.weight"])


def test_splitting_copies_nothing():
    flat = rules.from_hf_tensors(hf.TIED, hf.weights(hf.TIED))
    for path, array in flat.items():
        for _, part in rules.split(hf.TIED, path, array):
            assert np.shares_memory(part, array)


def test_everything_that_does_not_fit_is_said_at_once():
    weights = hf.weights(hf.TIED)
    found = [(name, array.shape, array.dtype) for name, array in weights.items()]
    by_name = {entry[0]: entry for entry in found}
    found.remove(by_name["model.norm.weight"])
    found.remove(by_name["model.layers.2.mlp.up_proj.weight"])
    found.append(by_name["model.layers.0.mlp.up_proj.weight"])
    found.append(("model.layers.3.mlp.up_proj.weight", (1,), np.dtype("f4")))
    found.remove(by_name["model.embed_tokens.weight"])
    found.append(("model.embed_tokens.weight", (132, 16), np.dtype("f4")))
    found.remove(by_name["model.layers.1.input_layernorm.weight"])
    found.append(("model.layers.1.input_layernorm.weight", (16,), np.dtype("f4")))
    with pytest.raises(BadInput) as error:
        rules.check(hf.TIED, found, "here")
    message = str(error.value)
    assert message.startswith("here: ")
    assert "\n" not in message
    for part in (
        "2 missing: model.layers.2.mlp.up_proj.weight, model.norm.weight",
        "1 unexpected: model.layers.3.mlp.up_proj.weight",
        "1 duplicate: model.layers.0.mlp.up_proj.weight",
        "1 mis-shaped: model.embed_tokens.weight [132, 16] instead of [131, 16]",
        "model.layers.1.input_layernorm.weight float32 instead of bfloat16",
    ):
        assert part in message


def test_long_lists_are_cut_and_counted():
    config = ModelConfig(131, 16, 40, 4, 2, 8, 24, tied_embeddings=True)
    found = [(f"t{i}", (1,), np.dtype("f4")) for i in range(40)]
    with pytest.raises(BadInput, match=r"442 missing: .* 436 more; 40 un.* 34 more") as error:
        rules.check(config, found, "x")
    assert len(str(error.value)) < 700


@pytest.mark.parametrize("layers", [40, 2**31 - 1])
def test_more_layers_than_tensors_are_not_spelled_out(layers):
    config = ModelConfig(131, 16, layers, 4, 2, 8, 24, tied_embeddings=True)
    weights = hf.weights(hf.TIED)
    found = [(name, array.shape, array.dtype) for name, array in weights.items()]
    with pytest.raises(BadInput, match=rf"it has {layers} layers, the files hold 35 tensors in"):
        rules.check(config, found, "x")


def test_an_untied_model_needs_its_head_and_a_tied_one_may_hold_a_copy():
    tied, untied = hf.weights(hf.TIED), hf.weights(hf.UNTIED)
    del untied["lm_head.weight"]
    with pytest.raises(BadInput, match=r"1 missing: lm_head\.weight"):
        rules.from_hf_tensors(hf.UNTIED, untied)
    tied["lm_head.weight"] = tied["model.embed_tokens.weight"]
    assert "head.table" not in rules.from_hf_tensors(hf.TIED, tied)
    tied["lm_head.weight"] = tied["lm_head.weight"][:5]
    with pytest.raises(BadInput, match=r"lm_head\.weight \[5, 16\] instead of \[131, 16\]"):
        rules.from_hf_tensors(hf.TIED, tied)


def test_our_own_parameters_are_checked_too():
    flat = rules.from_hf_tensors(hf.TIED, hf.weights(hf.TIED))
    flat["head.table"] = flat.pop("embedding.table")
    with pytest.raises(BadInput, match=r"missing: embedding\.table; 1 unexpected: head\.table"):
        rules.to_hf_tensors(hf.TIED, flat)


def found_in(weights) -> list:
    return [(name, array.shape, array.dtype) for name, array in weights.items()]


def test_a_prefix_is_that_of_all_tensors():
    prefixes = Prefixes("module.", "model.language_model.")
    weights = {prefixes.file_name(name): a for name, a in hf.weights(hf.UNTIED).items()}
    rules.check(hf.UNTIED, found_in(weights), "x", prefixes)
    # Each would fit if prefixes were guessed name by name.
    for name, other in (
        ("module.model.language_model.norm.weight", "model.norm.weight"),
        ("module.lm_head.weight", "lm_head.weight"),
        ("module.lm_head.weight", "module.model.language_model.lm_head.weight"),
    ):
        mixed = dict(weights)
        mixed[other] = mixed.pop(name)
        with pytest.raises(BadInput, match=f"1 missing: {name}; 1 unexpected: {other}$"):
            rules.check(hf.UNTIED, found_in(mixed), "x", prefixes)
        with pytest.raises(BadInput, match=f"configuration; 1 unexpected: {other}$"):
            rules.check(hf.UNTIED, found_in(weights | {other: mixed[other]}), "x", prefixes)


def test_a_tied_head_of_another_shape_is_said_with_the_rest():
    weights = hf.weights(hf.TIED)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"][:, :4]
    weights["model.visual.patch_embed.weight"] = weights.pop("model.norm.weight")
    found = [*found_in(weights), ("lm_head.weight", (131, 4), np.dtype("f4"))]
    with pytest.raises(BadInput) as error:
        rules.check(hf.TIED, found, "x")
    assert str(error.value) == (
        "x: tensors do not fit the configuration; 1 missing: model.norm.weight; "
        "1 unexpected: model.visual.patch_embed.weight; 1 duplicate: lm_head.weight; "
        "1 mis-shaped: lm_head.weight [131, 4] instead of [131, 16]"
    )
