"""A training step of transformers' Qwen3 in PyTorch, timed: the peer of benchmarks/train_step.py.

    python benchmarks/peers/hf_torch.py '{"model": {...}, "rows": 8, "length": 256, ...}'

Prints one JSON object. Needs torch and transformers, and nothing of this project. Set up as one
would for speed: SDPA attention, fused AdamW; on a GPU also torch.compile, and gradient
checkpointing only if asked for.
"""

import json
import resource
import sys
import time

import torch
import transformers


def main() -> None:
    task = json.loads(sys.argv[1])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    model = make_model(task["model"], task["dtype"], task["length"]).to(device)
    if task["remat"]:
        model.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    tokens = torch.randint(0, task["model"]["vocab_size"], (task["rows"], task["length"]))
    tokens = tokens.to(device)

    def step():
        with torch.autocast(device, torch.bfloat16, enabled=task["dtype"] == "bfloat16"):
            loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    if device == "cuda":
        step = torch.compile(step)
    seconds = []
    for _ in range(task["warm_up"] + task["steps"]):
        start = time.perf_counter()
        loss = step().item()  # waits for the device
        seconds.append(time.perf_counter() - start)
    peak = (
        torch.cuda.max_memory_allocated()
        if device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    print(
        json.dumps(
            {
                "seconds": seconds[task["warm_up"] :],
                "loss": loss,
                "peak_bytes": peak,
                "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
                "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            }
        )
    )


def make_model(model: dict, dtype: str, length: int) -> torch.nn.Module:
    """float32 weights in either case; bfloat16 products come from autocast, as ours do."""
    config = transformers.Qwen3Config(
        vocab_size=model["vocab_size"],
        hidden_size=model["embed_dim"],
        num_hidden_layers=model["layers"],
        num_attention_heads=model["heads"],
        num_key_value_heads=model["kv_heads"],
        head_dim=model["head_dim"],
        intermediate_size=model["ffn_dim"],
        rms_norm_eps=model["norm_eps"],
        rope_theta=model["rope_theta"],
        tie_word_embeddings=model["tied_embeddings"],
        max_position_embeddings=max(length, model["max_positions"]),
        attn_implementation="sdpa",
    )
    return transformers.Qwen3ForCausalLM(config).train()


if __name__ == "__main__":
    main()
