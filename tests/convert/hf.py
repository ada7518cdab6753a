"""Hugging Face directories for tests, written by the safetensors library and plain JSON."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from biomatrix_jax.config import ModelConfig
from tests.model import cases

TIED = ModelConfig(131, 16, 3, 4, 2, 8, 24, 1e6, 1e-6, True, 40_960)
UNTIED = ModelConfig(67, 20, 2, 3, 1, 6, 10, 5e5, 1e-5, False, 2048)
DTYPES = ("bfloat16", "float16", "float32")
ODD = ("model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight")  # have NaN, infinities
ODD_NOTE = f"warning: NaN or infinite values in {', '.join(ODD)}"


def numpy_dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


def weights(config: ModelConfig, dtype: str = "bfloat16", seed: int = 0) -> dict[str, np.ndarray]:
    """Weights by Hugging Face name; in 16 bits with NaN, infinities, -0 and denormals in them."""
    tensors = {k: v.astype(numpy_dtype(dtype)) for k, v in cases.hf_weights(config, seed).items()}
    odd = [np.nan, np.inf, -np.inf, -0.0, float(ml_dtypes.finfo(dtype).smallest_subnormal)]
    for name in ODD:
        tensors[name][1, :5] = odd
    return tensors


def config_json(config: ModelConfig, form: int = 5, dtype: str = "bfloat16") -> dict:
    """config.json as transformers 4 (4.51) or 5 writes it."""
    content = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 151643,
        "eos_token_id": 151643,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.embed_dim,
        "initializer_range": 0.02,
        "intermediate_size": config.ffn_dim,
        "max_position_embeddings": config.max_positions,
        "max_window_layers": 28,
        "model_type": "qwen3",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.kv_heads,
        "rms_norm_eps": config.norm_eps,
        "sliding_window": None,
        "tie_word_embeddings": config.tied_embeddings,
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": config.vocab_size,
    }
    if form == 4:
        theta = int(config.rope_theta)  # the published files have an integer
        new = {"rope_scaling": None, "rope_theta": theta, "torch_dtype": dtype}
        return content | new | {"transformers_version": "4.51.0"}
    rope = {"rope_theta": config.rope_theta, "rope_type": "default"}
    layer_types = ["full_attention"] * config.layers
    new = {"dtype": dtype, "layer_types": layer_types, "rope_parameters": rope}
    return content | new | {"transformers_version": "5.0.0"}


def write(
    directory: Path,
    config: ModelConfig = TIED,
    tensors: dict[str, np.ndarray] | None = None,
    *,
    form: int = 5,
    dtype: str = "bfloat16",
    shards: int = 1,
) -> dict[str, np.ndarray]:
    """Writes a model directory and returns its tensors."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = weights(config, dtype) if tensors is None else tensors
    text = json.dumps(config_json(config, form, dtype), indent=2) + "\n"
    (directory / "config.json").write_text(text)
    # Spacing and escapes of its own, so that only a byte for byte copy passes.
    (directory / "generation_config.json").write_text('{"eos_token_id":[151645, 151643]}')
    (directory / "chat_template.jinja").write_text("{{ messages }}\r\n\u00e4")
    write_weights(directory, tensors, shards)
    return tensors


def write_weights(directory: Path, tensors: dict[str, np.ndarray], shards: int = 1) -> None:
    if shards == 1:
        save_file(tensors, directory / "model.safetensors", {"format": "pt"})
        return
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: tensors[name] for name in sorted(tensors)[shard::shards]}
        save_file(part, directory / file, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    write_index(directory, weight_map)


def write_index(directory: Path, weight_map: dict) -> None:
    content = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(content))


def edit_config(directory: Path, **changes) -> None:
    """Sets keys of config.json; None removes one."""
    path = directory / "config.json"
    content = json.loads(path.read_text()) | changes
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(kept, indent=2))


def read_weights(directory: Path) -> dict[str, np.ndarray]:
    """All tensors of a directory's safetensors files, read by the library."""
    from safetensors.numpy import load_file

    tensors = {}
    for file in sorted(directory.glob("*.safetensors")):
        part = load_file(file)
        assert not part.keys() & tensors.keys()
        tensors |= part
    return tensors


def assert_same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert (a[name].dtype, a[name].shape) == (b[name].dtype, b[name].shape), name
        assert a[name].tobytes() == b[name].tobytes(), name


def tokenizer_json(size: int) -> str:
    """A minimal tokenizer with `size` ids, one of them an added token."""
    vocab = {f"w{i}": i for i in range(size - 1)}
    added = {"id": size - 1, "content": "<|end|>", "special": True}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    content = {
        "version": "1.0",
        "added_tokens": [added | flags],
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    }
    return json.dumps(content)


def snapshot(directory: Path) -> dict[Path, bytes]:
    """Every file below, with its content."""
    return {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}
