"""Writes tests/model/golden/*.npz: logits of transformers' Qwen3 on the models of `cases.py`.

Run with torch and transformers installed, from the repository: python -m tests.model.make_golden
"""

from pathlib import Path

import numpy as np

from tests.model import cases

GOLDEN = Path(__file__).parent / "golden"


def reference_model(config, weights):
    """transformers' Qwen3 in float32 with eager attention."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    hf = Qwen3Config(
        vocab_size=config.vocab_size,
        hidden_size=config.embed_dim,
        intermediate_size=config.ffn_dim,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_dim,
        rms_norm_eps=config.norm_eps,
        tie_word_embeddings=config.tied_embeddings,
        max_position_embeddings=config.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        attn_implementation="eager",
    )
    model = Qwen3ForCausalLM(hf).float().eval()
    state = {name: torch.from_numpy(array) for name, array in weights.items()}
    if config.tied_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    return model


def reference_logits(model, tokens, positions=None) -> np.ndarray:
    """float32 [T, V] of one document alone."""
    import torch

    positions = np.arange(tokens.shape[1]) if positions is None else positions
    ids = torch.from_numpy(positions).long()[None]
    # Without a mask, transformers takes gaps in positions for packed documents.
    alone = torch.ones(tokens.shape, dtype=torch.long)
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens).long(), alone, position_ids=ids).logits
    return logits[0].float().numpy()


def bfloat16_error(config) -> np.ndarray:
    """How far transformers' own bfloat16 logits are from its float32 ones: mean abs, [] float32."""
    tokens = cases.tokens(config)
    model = reference_model(config, cases.hf_weights(config))
    exact = reference_logits(model, tokens)
    rounded = reference_logits(model.bfloat16(), tokens)
    return np.abs(rounded - exact).mean()


def reference_rows(config) -> dict[str, np.ndarray]:
    """The three situations every implementation must reproduce, each float32 [LENGTH, V]."""
    model = reference_model(config, cases.hf_weights(config))
    tokens = cases.tokens(config)
    first = cases.DOCUMENTS[0]
    packed = [reference_logits(model, part) for part in (tokens[:, :first], tokens[:, first:])]
    return {
        "whole": reference_logits(model, tokens),
        "packed": np.concatenate(packed),
        "far": reference_logits(model, tokens, cases.FAR),
    }


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, config in cases.CASES.items():
        rows = {kind: row[cases.KEPT] for kind, row in reference_rows(config).items()}
        rows["bfloat16_error"] = bfloat16_error(config)
        np.savez_compressed(GOLDEN / f"{name}.npz", **rows)
        print(name, {kind: row.shape for kind, row in rows.items()})
