"""Tokens per second and MFU of our training step, beside transformers' Qwen3 in PyTorch.

    python benchmarks/train_step.py CONFIG [key=value ...] [--peer-python PYTHON] [--json FILE]

On two CPU cores:  python benchmarks/train_step.py smoke mesh='{fsdp: 1, tensor: 1}'
On one H100:       python benchmarks/train_step.py biomatrix_1p7b data.batch_rows=1

The same architecture, batch shape, precision and optimizer on the same device. Every row is a
single document, so that the peer, which would need a mask to keep packed documents apart, runs its
fastest attention; ours masks in any case. Each measurement is a process of its own, which takes
turns with the other's; medians over all steps are reported. The peer needs torch and transformers:
name a Python that has them with --peer-python if this one does not.
"""

import argparse
import dataclasses
import json
import resource
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
    parser.add_argument("--steps", type=int, default=8, help="measured in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--ours-only", action="store_true", help="one round of ours, as JSON")
    arguments = parser.parse_args()
    if arguments.ours_only:
        print(json.dumps(ours(arguments.config, arguments.overrides, arguments.steps)))
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
        "remat": run.compute.remat == "full",
        "steps": arguments.steps,
        "warm_up": WARM_UP,
    }
    here = Path(__file__).resolve()
    commands = {
        OURS: [sys.executable, here, arguments.config, *arguments.overrides, "--ours-only"],
        PEER: [arguments.peer_python, here.parent / "peers/hf_torch.py", json.dumps(task)],
    }
    commands[OURS] += ["--steps", str(arguments.steps)]
    about = machine.describe(())  # each round tells its versions
    rounds = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rounds[name].append(json.loads(done.stdout.splitlines()[-1]))
    tokens = task["rows"] * task["length"]
    full = flops_per_token(run.model, task["length"])
    halved = (full + flops_per_token(run.model, 0)) / 2  # attention as if only the causal half
    peak = rounds[OURS][0]["peak_flops"]
    measured = {}
    for name, results in rounds.items():
        seconds = statistics.median(s for r in results for s in r["seconds"])
        rate = tokens / seconds
        measured[name] = {
            "step_seconds": seconds,
            "tokens_per_second": rate,
            "mfu_full_attention": rate * full / peak if peak else None,
            "mfu_causal_attention": rate * halved / peak if peak else None,
            "peak_bytes": max(r["peak_bytes"] for r in results),
            "rounds": results,
        }
    return {
        "task": task,
        "machine": about,
        "measured": measured,
        "ratio": measured[OURS]["tokens_per_second"] / measured[PEER]["tokens_per_second"],
    }


def ours(config: str, overrides: list[str], steps: int) -> dict:
    import jax
    import numpy as np

    from biomatrix_jax.config import load
    from biomatrix_jax.sharding import make_mesh
    from biomatrix_jax.train.flops import peak_flops
    from biomatrix_jax.train.step import make_step

    run = load(config, overrides)
    mesh = make_mesh(run.mesh)
    step = make_step(run, mesh)
    state = step.random(np.uint32(0))
    train = step.train.lower(step.state, step.batch).compile()
    batch = one_document_a_row(run.data.batch_rows, run.data.row_length, run.model.vocab_size)
    batch = {name: jax.device_put(batch[name], x.sharding) for name, x in step.batch.items()}
    seconds = []
    for _ in range(WARM_UP + steps):
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
        "peak_flops": peak.flops,
        "peak_source": peak.source,
        "versions": {"jax": jax.__version__},
    }


def one_document_a_row(rows: int, length: int, vocab_size: int) -> dict:
    import numpy as np

    tokens = np.random.default_rng(0).integers(0, vocab_size, (rows, length + 1), dtype=np.int32)
    return {
        "tokens": tokens[:, :-1],
        "targets": tokens[:, 1:],
        "segment_ids": np.ones((rows, length), np.int32),
        "positions": np.tile(np.arange(length, dtype=np.int32), (rows, 1)),
        "modality": np.zeros((rows, length), np.int32),
        "loss_weights": np.ones((rows, length), np.float32),
    }


def table(result: dict) -> str:
    lines = [f"{'':28}{'step s':>9}{'tokens/s':>12}{'MFU':>8}{'MFU causal':>12}{'peak GB':>9}"]
    for name, m in result["measured"].items():
        full, causal = m["mfu_full_attention"], m["mfu_causal_attention"]
        shares = f"{full:8.1%}{causal:12.1%}" if full else f"{'-':>8}{'-':>12}"
        lines.append(
            f"{name:28}{m['step_seconds']:9.3f}{m['tokens_per_second']:12,.0f}{shares}"
            f"{m['peak_bytes'] / 1e9:9.2f}"
        )
    return "\n".join([*lines, f"ours / peer: {result['ratio']:.2f}"])


if __name__ == "__main__":
    main()
