"""The shipped pod configurations: each the best point of a sweep, with the table of all points.

    python benchmarks/pods.py [POD ...]    sweep these (all by default), write configs and table
    python benchmarks/pods.py --write      configs and table alone, from the results that are there

Every point is the real training step, compiled for devices that need not be there: for a TPU slice
by libtpu (pip install 'biomatrix-jax[tpu]'), for GPUs by JAX's CUDA plugin (pip install
'biomatrix-jax[cuda12]'). Results stay in benchmarks/results/pods/.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import machine
import pods_text

from biomatrix_jax.files import atomic_file
from biomatrix_jax.plan.gpus import NODE
from biomatrix_jax.plan.sweep.outcome import Outcome
from biomatrix_jax.plan.sweep.run import sweep

RESULTS = Path(__file__).parent / "results" / "pods"
COMPILERS = ("libtpu", "jax-cuda12-plugin", "jax-cuda13-plugin")


@dataclass(frozen=True)
class Pod:
    """A model on devices, and the axes that are swept."""

    model: str
    topology: str
    axes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.model}_{self.topology.replace(':', '_')}"


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
    """Over all GPUs, or whole in each node and the gradients summed between nodes.

    Over several nodes two rows at a time only, which a node has shown to be the faster.
    """
    meshes, rows = [f"fsdp: {devices}"], "1 2"
    if devices > NODE:
        meshes, rows = [*meshes, f"data: {devices // NODE}, fsdp: {NODE}"], "2"
    return _pod(model, f"h100:{devices}", meshes, "attention_saved minimal", rows)


PODS = (
    _pod("biomatrix_1p7b", "v5e:4x4", ["fsdp: 16"], "full attention_saved", "1 2"),
    _pod("biomatrix_1p7b", "v5e:8x8", ["fsdp: 64", "data: 4, fsdp: 16"], "attention_saved", "1 2"),
    _pod("biomatrix_1p7b", "v5p:2x2x2", ["fsdp: 8"], "attention_saved minimal", "1 2"),
    _pod("biomatrix_1p7b", "v5p:4x4x4", ["fsdp: 64", "data: 8, fsdp: 8"], "attention_saved", "1 2"),
    _pod("biomatrix_1p7b", "v6e:4x4", ["fsdp: 16"], "attention_saved minimal", "1 2"),
    _pod("biomatrix_4b", "v5e:8x8", ["fsdp: 64"], "full attention_saved", "1 2"),
    _pod("biomatrix_4b", "v5p:4x4x4", ["fsdp: 64"], "attention_saved minimal", "1 2"),
    _pod("biomatrix_4b", "v6e:4x4", ["fsdp: 16"], "full attention_saved", "1 2"),
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
    found = sweep(pod.model, pod.topology, pod.axes, jobs=jobs)
    result = {
        "name": pod.name,
        "model": pod.model,
        "topology": pod.topology,
        "axes": pod.axes,
        "machine": machine.describe(("jax", "jaxlib", "flax", *COMPILERS)),
        "points": [_point(one) for one in found.outcomes],
    }
    with atomic_file(RESULTS / f"{pod.name}.json", "w") as file:
        json.dump(result, file, indent=1)


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
