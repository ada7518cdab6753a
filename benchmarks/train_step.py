"""Tokens per second and MFU of our training step, beside transformers' Qwen3 in PyTorch.

    python benchmarks/train_step.py CONFIG [key=value ...] [--documents LENGTH ...]
                                    [--peer-python PYTHON] [--json FILE]

On two CPU cores:  python benchmarks/train_step.py smoke mesh='{fsdp: 1, tensor: 1}'
On one H100:       XLA_PYTHON_CLIENT_MEM_FRACTION=0.92 python benchmarks/train_step.py \\
                   h100_biomatrix_1p7b --documents 4096 2048 1024 512

The same architecture, batch shape, precision and optimizer on the same device. Each measurement is
a process of its own, which takes turns with the other's; medians over all steps are reported. The
peer needs torch and transformers: name a Python that has them with --peer-python if this one does
not. On a GPU it also runs with weights and moments in bfloat16, which is faster and less exact than
ours; the ratio is to the faster.

The peer's rows are always a single document: to keep packed ones apart it would need a mask, and
with it a slower kernel. Ours are so too, unless --documents names the lengths that each row is
packed with, over and over. Masked or not, ours runs the kernel that keeps documents apart. MFU
counts attention in two ways, with packing as without: "full" as if every token looked at the whole
row, which is the convention, and "causal" half of that.
"""

import argparse
import dataclasses
import json
import resource
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

import machine

WARM_UP = 2  # steps
PEER = "transformers-qwen3-torch"
OURS = "biomatrix-jax"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--documents", nargs="+", type=int, metavar="LENGTH", help="in tokens")
    parser.add_argument("--steps", type=int, default=8, help="measured in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--ours-only", action="store_true", help="one round of ours, as JSON")
    arguments = parser.parse_args()
    if arguments.ours_only:
        print(json.dumps(ours(arguments)))
        return
    result = compare(arguments)
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def compare(arguments: argparse.Namespace) -> dict:
    from biomatrix_jax.config import load
    from biomatrix_jax.train.flops import flops_per_token

    run = load(arguments.config, arguments.overrides)
    task = {
        "model": dataclasses.asdict(run.model),
        "rows": run.data.batch_rows,
        "length": run.data.row_length,
        "dtype": run.compute.dtype,
        "steps": arguments.steps,
        "warm_up": WARM_UP,
    }
    here = Path(__file__).resolve()
    peer = [arguments.peer_python, here.parent / "peers/hf_torch.py"]
    commands = {
        OURS: [sys.executable, here, *_own_arguments(arguments), "--ours-only"],
        PEER: [*peer, json.dumps(task | {"param_dtype": "float32"})],
    }
    if task["dtype"] == "bfloat16":
        commands[f"{PEER}, bfloat16 weights"] = [
            *(*peer, json.dumps(task | {"param_dtype": "bfloat16"})),
        ]
    about = machine.describe(())  # each round tells its versions
    rounds = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rounds[name].append(json.loads(done.stdout.splitlines()[-1]))
    full = flops_per_token(run.model, task["length"])
    halved = (full + flops_per_token(run.model, 0)) / 2
    measured = {
        name: _summary(results, task["rows"] * task["length"], full, halved, rounds[OURS][0])
        for name, results in rounds.items()
    }
    fastest = max(m["tokens_per_second"] for name, m in measured.items() if name != OURS)
    return {
        "command": shlex.join(["python", "benchmarks/train_step.py", *_own_arguments(arguments)]),
        "task": task | {"documents": arguments.documents, "compute": vars(run.compute)},
        "machine": about,
        "measured": measured,
        "ratio": measured[OURS]["tokens_per_second"] / fastest,
    }


def _own_arguments(arguments: argparse.Namespace) -> list[str]:
    """Those that decide what is measured, as they were given."""
    documents = map(str, arguments.documents or ())
    return [
        *(arguments.config, *arguments.overrides, "--steps", str(arguments.steps)),
        *(("--documents", *documents) if arguments.documents else ()),
    ]


def _summary(results: list[dict], tokens: int, full: float, halved: float, of_peak: dict) -> dict:
    seconds = statistics.median(s for r in results for s in r["seconds"])
    rate, peak = tokens / seconds, of_peak["peak_flops"]
    return {
        "step_seconds": seconds,
        "tokens_per_second": rate,
        "mfu_full_attention": rate * full / peak if peak else None,
        "mfu_causal_attention": rate * halved / peak if peak else None,
        "peak_bytes": max(r["peak_bytes"] for r in results),
        "rounds": results,
    }


def ours(arguments: argparse.Namespace) -> dict:
    import jax
    import numpy as np

    from biomatrix_jax.config import load
    from biomatrix_jax.model.attention.choose import choose
    from biomatrix_jax.sharding import make_mesh
    from biomatrix_jax.train.flops import peak_flops
    from biomatrix_jax.train.step import make_step

    run = load(arguments.config, arguments.overrides)
    mesh = make_mesh(run.mesh)
    step = make_step(run, mesh)
    state = step.random(np.uint32(0))
    train = step.train.lower(step.state, step.batch).compile()
    rows, length = run.data.batch_rows, run.data.row_length
    batch = packed(rows, length, arguments.documents or [length], run.model.vocab_size)
    batch = {name: jax.device_put(batch[name], x.sharding) for name, x in step.batch.items()}
    seconds = []
    for _ in range(WARM_UP + arguments.steps):
        start = time.perf_counter()
        state, metrics = train(state, batch)
        loss = float(metrics.loss)  # waits for the device
        seconds.append(time.perf_counter() - start)
    device = mesh.devices.flat[0]
    statistics_of_device = device.memory_stats() or {}
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = peak_flops(list(mesh.devices.flat))
    return {
        "seconds": seconds[WARM_UP:],
        "loss": loss,
        "peak_bytes": statistics_of_device.get("peak_bytes_in_use", resident),
        "device": device.device_kind,
        "attention": choose(run.compute, run.model, mesh, run.rules, length).name,
        "peak_flops": peak.flops,
        "peak_source": peak.source,
        "versions": {"jax": jax.__version__},
    }


def packed(rows: int, length: int, documents: list[int], vocab_size: int) -> dict:
    """A batch of random tokens, each row full of documents of those lengths, over and over."""
    import numpy as np

    tokens = np.random.default_rng(0).integers(0, vocab_size, (rows, length + 1), dtype=np.int32)
    lengths = np.resize(documents, length)  # more than enough: each has a token at least
    segments = np.repeat(np.arange(1, length + 1, dtype=np.int32), lengths)[:length]
    positions = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])[:length]
    return {
        "tokens": tokens[:, :-1],
        "targets": tokens[:, 1:],
        "segment_ids": np.tile(segments, (rows, 1)),
        "positions": np.tile(positions, (rows, 1)),
        "modality": np.zeros((rows, length), np.int32),
        "loss_weights": np.ones((rows, length), np.float32),
    }


def table(result: dict) -> str:
    lines = [f"{'':42}{'step s':>9}{'tokens/s':>12}{'MFU':>8}{'MFU causal':>12}{'peak GB':>9}"]
    for name, m in result["measured"].items():
        full, causal = m["mfu_full_attention"], m["mfu_causal_attention"]
        shares = f"{full:8.1%}{causal:12.1%}" if full else f"{'-':>8}{'-':>12}"
        lines.append(
            f"{name:42}{m['step_seconds']:9.3f}{m['tokens_per_second']:12,.0f}{shares}"
            f"{m['peak_bytes'] / 1e9:9.2f}"
        )
    return "\n".join([*lines, f"ours / the fastest peer: {result['ratio']:.2f}"])


if __name__ == "__main__":
    main()
