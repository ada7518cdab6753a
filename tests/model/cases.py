"""Random Qwen3 models small enough to compare whole, with weights that any framework can rebuild.

Weights come from numpy's seeded generator, so the golden files need hold logits only.
"""

import numpy as np

from biomatrix_jax.config import ModelConfig

CASES = {
    "tied_gqa": ModelConfig(131, 64, 3, 4, 2, 16, 112, 1e4, 1e-6, True, 40_960),
    "untied_wide_heads": ModelConfig(257, 80, 2, 6, 2, 24, 150, 1e6, 1e-6, False, 40_960),
    "untied_one_kv_head": ModelConfig(509, 96, 2, 5, 1, 128, 160, 1e6, 1e-5, False, 40_960),
    "tied_all_kv_heads": ModelConfig(1001, 48, 4, 3, 3, 32, 96, 5e5, 1e-6, True, 40_960),
}
LENGTH = 600
DOCUMENTS = (337, 263)  # two packed documents fill a row
# Of the row that tests long positions. With gaps: logits depend on distances alone, so a row far
# out without gaps would show nothing of how exact the frequencies are.
FAR = np.linspace(0, 40_959, LENGTH).astype(np.int32)
KEPT = np.array([0, 1, 2, 7, 63, 64, 255, 300, 335, 336, 337, 338, 400, 511, 512, 598, 599])


def hf_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The tensor names and shapes of `Qwen3ForCausalLM`, written out independently of our table."""
    d, h, f = config.embed_dim, config.head_dim, config.ffn_dim
    shapes = {"model.embed_tokens.weight": (config.vocab_size, d), "model.norm.weight": (d,)}
    for i in range(config.layers):
        layer = f"model.layers.{i}."
        shapes |= {
            layer + "input_layernorm.weight": (d,),
            layer + "post_attention_layernorm.weight": (d,),
            layer + "self_attn.q_proj.weight": (config.heads * h, d),
            layer + "self_attn.k_proj.weight": (config.kv_heads * h, d),
            layer + "self_attn.v_proj.weight": (config.kv_heads * h, d),
            layer + "self_attn.o_proj.weight": (d, config.heads * h),
            layer + "self_attn.q_norm.weight": (h,),
            layer + "self_attn.k_norm.weight": (h,),
            layer + "mlp.gate_proj.weight": (f, d),
            layer + "mlp.up_proj.weight": (f, d),
            layer + "mlp.down_proj.weight": (d, f),
        }
    if not config.tied_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, d)
    return shapes


def hf_weights(config: ModelConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """float32 weights with norms away from one and logits of order one."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in sorted(hf_shapes(config).items()):
        noise = rng.standard_normal(shape, dtype=np.float32)
        if "norm" in name:
            weights[name] = 1 + np.float32(0.3) * noise
        else:
            weights[name] = noise / np.float32(np.sqrt(shape[-1]))
    return weights


def tokens(config: ModelConfig, seed: int = 1) -> np.ndarray:
    """int32 [1, LENGTH]."""
    return np.random.default_rng(seed).integers(0, config.vocab_size, (1, LENGTH), dtype=np.int32)
