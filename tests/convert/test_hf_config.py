"""config.json in the forms of transformers 4 and 5, and what the decoder refuses."""

import json

import pytest

from biomatrix_jax.config import ModelConfig
from biomatrix_jax.convert import hf_config
from biomatrix_jax.errors import BadInput
from tests.convert import hf


@pytest.mark.parametrize("form", [4, 5])
@pytest.mark.parametrize("config", [hf.TIED, hf.UNTIED])
def test_both_forms_mean_the_same(config, form):
    assert hf_config.to_model(hf.config_json(config, form), "x") == config


def test_the_published_configuration():
    # The 1.7B size with the extended vocabulary, in the form that transformers 4.51 wrote.
    content = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 151643,
        "eos_token_id": 151643,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 2048,
        "initializer_range": 0.02,
        "intermediate_size": 6144,
        "max_position_embeddings": 32768,
        "max_window_layers": 28,
        "model_type": "qwen3",
        "num_attention_heads": 16,
        "num_hidden_layers": 28,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": 168064,
    }
    expected = ModelConfig(168_064, 2048, 28, 16, 8, 128, 6144, 1e6, 1e-6, False, 32_768)
    assert hf_config.to_model(content, "x") == expected


def test_absent_keys_take_the_originals_defaults():
    content = hf.config_json(hf.UNTIED, 4)
    for key in ("head_dim", "rms_norm_eps", "tie_word_embeddings", "rope_theta"):
        del content[key]
    del content["max_position_embeddings"]
    model = hf_config.to_model(content, "x")
    assert (model.head_dim, model.norm_eps, model.tied_embeddings) == (128, 1e-6, False)
    assert (model.rope_theta, model.max_positions) == (10_000.0, 32_768)


SCALED = {"rope_type": "yarn", "factor": 4.0}
REFUSED = [
    ({"architectures": ["LlamaForCausalLM"]}, r"architectures is \['LlamaForCausalLM'\]"),
    ({"architectures": ["Qwen3ForSequenceClassification"]}, "Qwen3ForSequenceClassification"),
    ({"architectures": None, "model_type": None}, "says no architecture"),
    ({"model_type": "qwen3_moe"}, "model_type is 'qwen3_moe'"),
    ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; supported is 'silu'"),
    ({"attention_bias": True}, "attention_bias is True"),
    ({"use_sliding_window": True}, "use_sliding_window is True"),
    ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types is .*sliding"),
    ({"layer_types": 3}, "layer_types is 3"),
    ({"layer_types": [["full_attention"], {}]}, "layer_types is "),
    ({"num_attention_heads": 2**63}, r"heads must be below 2\*\*31, not 92233"),
    ({"max_position_embeddings": 2**31}, "max_positions must be below"),
    ({"rope_scaling": SCALED}, "rope_scaling is .*yarn"),
    ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling is .*linear"),
    ({"rope_parameters": SCALED | {"rope_theta": 1e6}}, "rope_parameters is .*yarn"),
    ({"rope_parameters": {"rope_theta": 1e6, "partial_rotary_factor": 0.5}}, "partial_rotary"),
    ({"rope_parameters": [1]}, "rope_parameters is"),
    ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
    ({"rope_theta": 5.0}, "rope_theta is 5.0 but rope_parameters says 1000000.0"),
    ({"quantization_config": {"bits": 4}}, "quantization_config is"),
    ({"vocab_size": "131"}, "vocab_size must be int, not '131'"),
    ({"vocab_size": True}, "vocab_size must be int, not True"),
    ({"vocab_size": 131.0}, "vocab_size must be int, not 131.0"),
    ({"vocab_size": None}, "vocab_size is missing"),
    ({"vocab_size": 0}, "vocab_size must be positive"),
    ({"rms_norm_eps": float("nan")}, "rms_norm_eps must be float, not nan"),
    ({"rms_norm_eps": "1e-6"}, "rms_norm_eps must be float"),
    ({"rms_norm_eps": 10**400}, "rms_norm_eps must be float, not 1000"),
    ({"tie_word_embeddings": 1}, "tie_word_embeddings must be bool, not 1"),
    ({"num_key_value_heads": 3}, r"kv_heads \(3\) must divide"),
    ({"rope_parameters": {"rope_theta": "1e6"}}, "rope_theta must be float, not '1e6'"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_the_decoder_does_not_do_is_refused(changes, message):
    content = hf.config_json(hf.TIED) | changes
    content = {key: value for key, value in content.items() if value is not None}
    with pytest.raises(BadInput, match=message) as error:
        hf_config.to_model(content, "dir/config.json")
    assert str(error.value).startswith("dir/config.json: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scaling", [None, {"type": "default"}, {"rope_type": "default"}])
def test_scaling_that_scales_nothing_is_fine(scaling):
    content = hf.config_json(hf.TIED, 4) | {"rope_scaling": scaling, "sliding_window": 4096}
    assert hf_config.to_model(content, "x") == hf.TIED


@pytest.mark.parametrize("form", [4, 5])
def test_nothing_changes_where_the_weights_did_not(form):
    content = hf.config_json(hf.TIED, form) | {"a_key_of_theirs": [1, {"x": None}]}
    assert hf_config.updated(content, hf.TIED, "bfloat16", "x") == content
    assert hf_config.updated(content, hf.TIED, None, "x") == content


@pytest.mark.parametrize("form", [4, 5])
def test_changes_keep_the_form(form):
    before = hf.config_json(hf.TIED, form) | {"a_key_of_theirs": 7}
    model = ModelConfig(192, 16, 4, 4, 2, 8, 24, 2e6, 1e-6, False, 40_960)
    after = hf_config.updated(before, model, "float32", "x")
    assert hf_config.to_model(after, "x") == model
    changed = {"vocab_size": 192, "num_hidden_layers": 4, "tie_word_embeddings": False}
    if form == 4:
        changed |= {"rope_theta": 2e6, "torch_dtype": "float32"}
    else:
        rope = {"rope_theta": 2e6, "rope_type": "default"}
        changed |= {"rope_parameters": rope, "dtype": "float32"}
        changed |= {"layer_types": ["full_attention"] * 4}
    assert after == before | changed
    assert list(after) == list(before)


def test_torch_spelling_of_a_dtype():
    content = hf.config_json(hf.TIED, 4) | {"torch_dtype": "torch.bfloat16"}
    assert hf_config.updated(content, hf.TIED, "bfloat16", "x") == content


@pytest.mark.parametrize("config", [hf.TIED, hf.UNTIED])
def test_a_new_configuration_serves_both_readers(config):
    content = hf_config.new(config, "bfloat16", {"eos_token_id": 5})
    assert hf_config.to_model(content, "x") == config
    # transformers 4 knows rope_theta only and would fall back to 10,000 without it.
    assert content["rope_theta"] == config.rope_theta
    assert content["rope_parameters"] == {"rope_type": "default", "rope_theta": config.rope_theta}
    assert (content["dtype"], content["eos_token_id"]) == ("bfloat16", 5)
    assert content["architectures"] == ["Qwen3ForCausalLM"]


def test_text_reads_back():
    content = {"b": 1, "a": "ä"}
    assert json.loads(hf_config.text(content)) == content
    assert hf_config.text(content) == '{\n  "b": 1,\n  "a": "ä"\n}\n'
