"""The shipped pod configurations: each the best point of a sweep, with the table of all points.

    python benchmarks/pods.py [POD ...]    sweep these (all by default), write configs and table
    python benchmarks/pods.py --write      configs and table alone, from the results that are there

For TPUs every point is the real training step, compiled for the slice by libtpu (pip install
'biomatrix-jax[tpu]'). For GPUs there is no compiler without the device: their points are reckoned
by `arithmetic.py`, and table and files say so. Results stay in benchmarks/results/pods/.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import machine
import pods_text
from arithmetic import estimate, gpu_bytes_per_second

from biomatrix_jax.chips import find_chip
from biomatrix_jax.config import load
from biomatrix_jax.files import atomic_file
from biomatrix_jax.plan.sweep.grid import points, split
from biomatrix_jax.plan.sweep.outcome import Outcome, outcome, ranked
from biomatrix_jax.plan.sweep.run import sweep
from biomatrix_jax.train.flops import flops_per_token

RESULTS = Path(__file__).parent / "results" / "pods"
GPU = "H100"
NODE = 8  # GPUs that a switch joins
FILL = 0.6  # of a GPU's memory, what arithmetic may fill: its floor lacks what a compiler adds
PACE = 0.6  # of its peak, what products are taken to reach; nothing of the network is hidden


@dataclass(frozen=True)
class Pod:
    """A model on devices, and the axes that are swept."""

    model: str
    topology: str  # of GPUs "H100:16"
    axes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.model}_{self.topology.replace(':', '_').lower()}"


def _pod(model: str, topology: str, meshes: Sequence[str], policies: str, rows: str) -> Pod:
    """Sweeps meshes, remat policies, and rows of a device at a time.

    The batch is the published one, 1,024 rows: so many at a time make so many parts of it.
    """
    devices = math.prod(map(int, topology.split(":")[1].split("x")))
    parts = [1024 // (devices * int(count)) for count in rows.split()]
    axes = {
        "mesh": [f"{{{mesh}}}" for mesh in meshes],
        "compute.remat": policies.split(),
        "train.accumulate": map(str, parts),
    }
    return Pod(model, topology, tuple(f"{key}=[{', '.join(v)}]" for key, v in axes.items()))


def _gpus(model: str, devices: int) -> Pod:
    """Over all GPUs, or whole in each node and the gradients summed between nodes."""
    meshes = [f"fsdp: {devices}"]
    if devices > NODE:
        meshes.append(f"data: {devices // NODE}, fsdp: {NODE}")
    return _pod(model, f"{GPU}:{devices}", meshes, "full attention_saved minimal", "1 2")


PODS = (
    _pod("biomatrix_1p7b", "v5e:4x4", ["fsdp: 16"], "full attention_saved", "1"),
    _pod("biomatrix_1p7b", "v5e:8x8", ["fsdp: 64", "data: 4, fsdp: 16"], "attention_saved", "1"),
    _pod("biomatrix_1p7b", "v5p:2x2x2", ["fsdp: 8"], "attention_saved minimal", "1"),
    _pod("biomatrix_1p7b", "v5p:4x4x4", ["fsdp: 64", "data: 8, fsdp: 8"], "minimal", "1"),
    _pod("biomatrix_1p7b", "v6e:4x4", ["fsdp: 16"], "attention_saved minimal", "1"),
    _pod("biomatrix_4b", "v5e:8x8", ["fsdp: 64"], "full attention_saved", "1"),
    _pod("biomatrix_4b", "v5p:4x4x4", ["fsdp: 64"], "attention_saved minimal", "1"),
    _pod("biomatrix_4b", "v6e:4x4", ["fsdp: 16"], "full attention_saved", "1"),
    *(_gpus("biomatrix_1p7b", devices) for devices in (8, 16, 32, 64)),
    *(_gpus("biomatrix_4b", devices) for devices in (8, 16, 32, 64)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pods", nargs="*", metavar="POD", help="names, as of the configurations")
    parser.add_argument("--write", action="store_true", help="only configs and table")
    parser.add_argument("--jobs", type=int, help="compiles at a time")
    arguments = parser.parse_args()
    unknown = set(arguments.pods) - {pod.name for pod in PODS}
    if unknown:
        parser.error(f"no such pod: {', '.join(unknown)}; there are {', '.join(_names())}")
    if not arguments.write:
        for pod in PODS:
            if not arguments.pods or pod.name in arguments.pods:
                record(pod, arguments.jobs)
    order = {name: place for place, name in enumerate(_names())}
    results = [json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")]
    results.sort(key=lambda one: order[one["name"]])
    pods_text.write(results, missing([one["name"] for one in results]))


def record(pod: Pod, jobs: int | None) -> None:
    """Sweeps a pod and writes its results."""
    if pod.topology.startswith(GPU):
        how, outcomes = "arithmetic", ranked(list(reckoned(pod)))
    else:
        how, outcomes = "compiled", sweep(pod.model, pod.topology, pod.axes, jobs=jobs).outcomes
    result = {
        "name": pod.name,
        "model": pod.model,
        "topology": pod.topology,
        "axes": pod.axes,
        "how": how,
        "machine": machine.describe(("jax", "jaxlib", "libtpu", "flax")),
        "points": [_point(one) for one in outcomes],
    }
    with atomic_file(RESULTS / f"{pod.name}.json", "w") as file:
        json.dump(result, file, indent=1)


def reckoned(pod: Pod) -> Iterator[Outcome]:
    """Points of GPUs, by arithmetic alone."""
    chip, devices = find_chip(GPU), int(pod.topology.split(":")[1])
    fixed, axes = split(pod.axes)
    for point in points(axes):
        config = load(pod.model, [*fixed, *point.overrides])
        mesh = dict(point.settings)["mesh"]
        ideal = estimate(config, mesh)
        busy = ideal.network_seconds(gpu_bytes_per_second(chip, mesh, NODE))
        seconds = ideal.flops / (PACE * chip.bf16_flops) + busy
        tokens = config.data.batch_rows * config.data.row_length / devices
        useful = flops_per_token(config.model, config.data.row_length) * tokens
        plan = {
            "devices": devices,
            "peak_bytes": ideal.peak_bytes,
            "limit_bytes": FILL * chip.hbm_bytes,
            "fits": ideal.peak_bytes <= FILL * chip.hbm_bytes,
            "flops": ideal.flops,
            "collectives": [{"wire_bytes": ideal.network_bytes, "seconds": busy}],
            "estimated_step_seconds": seconds,
            "estimated_mfu": useful / seconds / chip.bf16_flops,
        }
        yield outcome(point, config, {"plan": plan})


def _point(one: Outcome) -> dict:
    """Of an outcome what the table shows and what makes a configuration."""
    plan = one.plan or {}
    shown = ("devices", "peak_bytes", "limit_bytes", "estimated_step_seconds", "estimated_mfu")
    return {
        "settings": dict(one.point.settings),
        "status": one.status,
        "reason": one.reason,
        "tokens_per_second_per_device": one.tokens_per_second,
        "communication_share": one.communication_share,
        **{name: plan.get(name) for name in shown},
    }


def missing(found: Sequence[str]) -> list[str]:
    """Names of the pods that are not among those found."""
    return [name for name in _names() if name not in found]


def _names() -> list[str]:
    return [pod.name for pod in PODS]


if __name__ == "__main__":
    main()
