"""`config.json` of a Qwen3 model <-> `ModelConfig`.

transformers 4 writes `rope_theta` and (until 4.55) `torch_dtype`, transformers 5 writes
`rope_parameters` and `dtype`. A configuration that came with a model keeps its own form and every
key that we do not read. One born here carries `rope_theta` and `rope_parameters` both: transformers
4 does not look into `rope_parameters` and would go on with its default, 10,000.
"""

import json
import math
from pathlib import Path
from typing import Any

from biomatrix_jax.config import ModelConfig
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import inside, read_json

FILE = "config.json"
ARCHITECTURE = "Qwen3ForCausalLM"
KEYS = {
    "vocab_size": "vocab_size",
    "embed_dim": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "ffn_dim": "intermediate_size",
    "norm_eps": "rms_norm_eps",
    "tied_embeddings": "tie_word_embeddings",
    "max_positions": "max_position_embeddings",
}
# What `Qwen3Config` takes where a file leaves the key out; the other keys are required.
DEFAULTS = {
    "head_dim": 128,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "max_position_embeddings": 32768,
}
DEFAULT_ROPE_THETA = 10_000.0
# Options that change the function computed: absent, or this value.
ONLY = {
    "architectures": [ARCHITECTURE],
    "model_type": "qwen3",
    "hidden_act": "silu",
    "attention_bias": False,
    "use_sliding_window": False,
    "quantization_config": None,
    "partial_rotary_factor": 1.0,
}
DTYPE_KEYS = ("dtype", "torch_dtype")


def read(directory: Path) -> ModelConfig:
    """The architecture that a directory's config.json describes; raises BadInput as `to_model`."""
    path = inside(directory, FILE)
    if path is None:
        raise BadInput(f"{directory / FILE} does not exist")
    return to_model(read_json(path), str(path))


def to_model(content: dict[str, Any], where: str) -> ModelConfig:
    """The architecture that a configuration describes.

    Args:
      where: the file, for messages.

    Raises:
      BadInput: names the key and value: another architecture, an option that the decoder does not
        have, a missing key, a value of the wrong type.
    """
    _check_supported(content, where)
    fields = {}
    for field, key in KEYS.items():
        if key not in content and key not in DEFAULTS:
            raise BadInput(f"{where}: {key} is missing")
        fields[field] = _typed(content.get(key, DEFAULTS.get(key)), field, key, where)
    theta = _typed(_rope_theta(content, where), "rope_theta", "rope_theta", where)
    try:
        return ModelConfig(**fields, rope_theta=theta)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None


def new(model: ModelConfig, dtype: str, ids: dict[str, Any]) -> dict[str, Any]:
    """A configuration for a model born here, for transformers 4 and 5.

    Args:
      dtype: of the weights, "bfloat16" for example.
      ids: the tokenizer's `bos_token_id`, `eos_token_id`, `pad_token_id`.
    """
    fixed = {key: ONLY[key] for key in ("architectures", "model_type", "hidden_act")}
    fixed |= {key: ONLY[key] for key in ("attention_bias", "use_sliding_window")}
    sizes = {key: getattr(model, field) for field, key in KEYS.items()}
    rope = {"rope_theta": model.rope_theta, "rope_type": "default"}
    content = {**fixed, **sizes, **ids, "dtype": dtype, "rope_parameters": rope}
    content |= {"rope_theta": model.rope_theta, "initializer_range": 0.02, "use_cache": True}
    return dict(sorted(content.items()))


def updated(
    carried: dict[str, Any], model: ModelConfig, dtype: str | None, where: str
) -> dict[str, Any]:
    """A carried configuration with what the weights changed, each key in the form it has there.

    Args:
      dtype: of the weights; None where it is what it was.
    """
    content = dict(carried)
    before = to_model(carried, where)
    for field, key in KEYS.items():
        if getattr(before, field) != getattr(model, field):
            content[key] = getattr(model, field)
    if before.rope_theta != model.rope_theta:
        if "rope_theta" in content or "rope_parameters" not in content:
            content["rope_theta"] = model.rope_theta
        if "rope_parameters" in content:
            content["rope_parameters"] = {
                **(content["rope_parameters"] or {"rope_type": "default"}),
                "rope_theta": model.rope_theta,
            }
    if "layer_types" in content and before.layers != model.layers:
        content["layer_types"] = ["full_attention"] * model.layers
    for key in DTYPE_KEYS:
        if dtype and content.get(key) is not None and _dtype_name(content[key]) != dtype:
            content[key] = dtype
    return content


def rewritten(path: Path, model: ModelConfig, dtype: str | None) -> bytes:
    """The content of a carried configuration file as `updated` has it: byte for byte its own where
    nothing changed."""
    before = read_json(path)
    after = updated(before, model, dtype, str(path))
    return path.read_bytes() if after == before else text(after).encode()


def text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _check_supported(content: dict[str, Any], where: str) -> None:
    if content.get("architectures") is None and content.get("model_type") is None:
        raise BadInput(f"{where}: says no architecture; supported is {ARCHITECTURE}")
    for key, value in ONLY.items():
        if content.get(key) not in (None, value):
            raise BadInput(f"{where}: {key} is {content[key]!r}; supported is {value!r} only")
    layers = content.get("layer_types")
    if layers is not None and (
        not isinstance(layers, list) or any(kind != "full_attention" for kind in layers)
    ):
        raise BadInput(f"{where}: layer_types is {layers!r}; supported is 'full_attention' only")


def _rope_theta(content: dict[str, Any], where: str) -> Any:
    # transformers 4 keeps scaling apart from theta, transformers 5 both in one object.
    for name in ("rope_scaling", "rope_parameters"):
        rope = content.get(name) or {}
        if not isinstance(rope, dict):
            raise BadInput(f"{where}: {name} is {rope!r}; expected an object")
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default" or rope.get("partial_rotary_factor", 1) != 1:
            raise BadInput(f"{where}: {name} is {rope!r}; supported is rope_type 'default' only")
    given = [r["rope_theta"] for r in (rope, content) if r.get("rope_theta") is not None]
    if len(given) == 2 and given[0] != given[1]:
        raise BadInput(
            f"{where}: rope_theta is {given[1]!r} but rope_parameters says {given[0]!r}: "
            "transformers 4 reads the one, 5 the other; make them agree"
        )
    return given[0] if given else DEFAULT_ROPE_THETA


def _typed(value: Any, field: str, key: str, where: str) -> Any:
    """`value` as the field's type; an integer may stand for a float, nothing else for another."""
    kind = ModelConfig.__annotations__[field]
    if kind is float and type(value) is int and abs(value) < 2**63:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise BadInput(f"{where}: {key} must be {kind.__name__}, not {value!r}")
    return value


def _dtype_name(value: Any) -> str:
    return str(value).removeprefix("torch.")
