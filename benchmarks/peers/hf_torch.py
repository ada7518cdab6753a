"""A training step of transformers' Qwen3 in PyTorch, timed: the peer of benchmarks/train_step.py.

    python benchmarks/peers/hf_torch.py '{"model": {...}, "rows": 8, "length": 256, ...}'

Prints one JSON object. Needs torch and transformers, and nothing of this project. Set up as one
would for speed: fused AdamW; on a GPU also torch.compile, SDPA by cuDNN or flash attention (never
the slow ones), keys of grouped queries not repeated, and gradient checkpointing only where the step
does not fit without.
"""

import contextlib
import json
import resource
import sys
import time

import torch
import transformers
from torch.nn.attention import SDPBackend, sdpa_kernel


def main() -> None:
    task = json.loads(sys.argv[1])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    checkpointing = False
    try:
        seconds, loss = run(task, device, checkpointing)
    except torch.cuda.OutOfMemoryError:
        checkpointing = True
    if checkpointing:  # outside of the handler, which would keep the first run's tensors
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        seconds, loss = run(task, device, checkpointing)
    peak = (
        torch.cuda.max_memory_allocated()
        if device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    print(
        json.dumps(
            {
                "seconds": seconds,
                "loss": loss,
                "peak_bytes": peak,
                "checkpointing": checkpointing,
                "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
                "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            }
        )
    )


def run(task: dict, device: str, checkpointing: bool) -> tuple[list[float], float]:
    """-> (seconds of each measured step, the last loss)."""
    torch.manual_seed(0)
    # Weights in float32 have their products in bfloat16 by autocast, as ours do.
    model = make_model(task["model"], task["length"]).to(
        device, getattr(torch, task["param_dtype"])
    )
    autocast = torch.autocast(
        device, torch.bfloat16, enabled=task["dtype"] == "bfloat16" != task["param_dtype"]
    )
    kernels = contextlib.nullcontext()
    if checkpointing:
        model.gradient_checkpointing_enable()
    if device == "cuda":
        fast = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION]
        kernels = sdpa_kernel(fast, set_priority=True)
        model.compile()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    tokens = torch.randint(0, task["model"]["vocab_size"], (task["rows"], task["length"]))
    tokens = tokens.to(device)

    def step() -> float:
        with autocast:
            loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()  # waits for the device

    seconds = []
    with kernels:
        for _ in range(task["warm_up"] + task["steps"]):
            start = time.perf_counter()
            loss = step()
            seconds.append(time.perf_counter() - start)
    return seconds[task["warm_up"] :], loss


def make_model(model: dict, length: int) -> torch.nn.Module:
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
