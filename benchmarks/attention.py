"""Forward and backward time of every attention kernel that the device at hand can run.

    python benchmarks/attention.py [CONFIG] [key=value ...] [--kernels NAME ...] [--json FILE]

On two CPU cores:  python benchmarks/attention.py
On one H100:       python benchmarks/attention.py biomatrix_1p7b --json attention-h100.json

One layer's attention with the heads of CONFIG over packed rows: one document a row, documents of
about 512 tokens, and of about 100. FLOPs are those of the pairs of tokens that see each other, two
products forward and four more backward; what a kernel computes beyond that only costs it time.
Kernels take turns, and medians are reported; results are held against the reference's in float32 on
the same numbers (error: the largest relative root mean square of output and gradients). Besides our
own kernels there are cuDNN's, for rows of one document, and JAX's Pallas `mha`, which needs keys
repeated.
"""

import argparse
import dataclasses
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import machine

DOCUMENTS = {"one document": None, "documents of ~512": 512, "documents of ~100": 100}
REPEATS = 7
AT_LEAST = 0.1  # seconds that one repeat runs
ON_CPU = ["data.row_length=1024", "data.batch_rows=1", "compute.dtype=float32"]  # small
ELSEWHERE = ["data.batch_rows=1"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", default="biomatrix_1p7b")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--kernels", nargs="+", metavar="NAME", help="only these")
    parser.add_argument(
        "--tiles", nargs=3, metavar="Q,K,WARPS,STAGES",
        help="flash's three kernels with other tiles: forward, to queries, to keys",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    result = measure(arguments)
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def measure(arguments: argparse.Namespace) -> dict:
    import jax

    from biomatrix_jax.config import load
    from biomatrix_jax.train.flops import peak_flops

    device = jax.devices()[0]
    small = ON_CPU if device.platform == "cpu" else ELSEWHERE
    run = load(arguments.config, [*small, *arguments.overrides])
    names = ("heads", "kv_heads", "head_dim")
    task = {name: getattr(run.model, name) for name in names} | {
        "rows": run.data.batch_rows,
        "length": run.data.row_length,
        "dtype": run.compute.dtype,
    }
    kernels = available(device.platform, arguments.tiles)
    if arguments.kernels:
        kernels = {name: kernels[name] for name in arguments.kernels}
    measured = []
    for documents, mean in DOCUMENTS.items():
        case = Case.of(task, mean)
        able = {name: k.attend for name, k in kernels.items() if k.packed or mean is None}
        for name, figures in case.time(able).items():
            measured.append({"documents": documents, "kernel": name, **figures})
    return {
        "command": " ".join(["python benchmarks/attention.py", *sys.argv[1:]]),
        "task": task,
        "machine": machine.describe(("jax", "jaxlib")),
        "device": device.device_kind,
        "peak": peak_flops([device])._asdict(),
        "measured": measured,
    }


@dataclasses.dataclass(frozen=True)
class Kernel:
    attend: Callable
    packed: bool = True  # keeps the documents of a row apart


def available(platform: str, tiles: list[str] | None) -> dict[str, Kernel]:
    """By name, those that run on a platform."""
    from biomatrix_jax.model.attention import reference, tiled

    kernels = {"reference": Kernel(reference.attend), "tiled": Kernel(tiled.attend)}
    if platform == "tpu":
        from biomatrix_jax.model.attention import splash

        kernels["splash"] = Kernel(splash.attend)
    if platform == "gpu":
        from biomatrix_jax.model.attention import gpu

        kernels["flash"] = Kernel(gpu.flash)
        kernels["cudnn"] = Kernel(lambda q, k, v, rows: gpu.cudnn(q, k, v), packed=False)
        kernels["jax-mha"] = Kernel(pallas_mha)
        if tiles:
            sizes = gpu.Tiles(*(gpu.Tile(*map(int, tile.split(","))) for tile in tiles))
            kernels["flash, as told"] = Kernel(functools.partial(flash_of, sizes))
    return kernels


def flash_of(sizes, q_btnh, k_bskh, v_bskh, rows):
    from biomatrix_jax.model.attention import gpu

    return gpu.flash(q_btnh, k_bskh, v_bskh, rows, sizes)


def pallas_mha(q_btnh, k_bskh, v_bskh, rows):
    """The kernel that comes with JAX; causal by column, which for packed rows is the same."""
    import jax.numpy as jnp
    from jax.experimental.pallas.ops.gpu.attention import mha

    group = q_btnh.shape[2] // k_bskh.shape[2]
    k_btnh, v_btnh = (jnp.repeat(x, group, axis=2) for x in (k_bskh, v_bskh))
    scale = q_btnh.shape[-1] ** -0.5
    return mha(q_btnh, k_btnh, v_btnh, rows.q_segments, sm_scale=scale, causal=True)


@dataclasses.dataclass(frozen=True)
class Case:
    """Rows with documents of one kind, and what the reference makes of them in float32."""

    arrays: tuple  # q, k, v and the output's gradient
    rows: object
    forward_flops: float
    exact: tuple  # output and gradients

    @classmethod
    def of(cls, task: dict, mean: int | None) -> "Case":
        import jax
        import jax.numpy as jnp
        import numpy as np

        from biomatrix_jax.data.rows import positions
        from biomatrix_jax.model.attention import Rows, reference

        b, t, n, h = task["rows"], task["length"], task["heads"], task["head_dim"]
        rng = np.random.default_rng(0)
        segments = np.stack([documents(t, mean, rng) for _ in range(b)])
        place = positions(segments)
        rows = Rows.of_whole(jnp.asarray(segments), jnp.asarray(place))
        shapes = [(b, t, n, h), *[(b, t, task["kv_heads"], h)] * 2, (b, t, n, h)]
        arrays = tuple(
            jax.random.normal(key, shape).astype(task["dtype"])
            for key, shape in zip(jax.random.split(jax.random.key(0), 4), shapes, strict=True)
        )
        seen = float((place + 1).sum(dtype=np.int64))  # pairs; a token sees itself and those before
        exact = tuple(x.astype(jnp.float32) for x in arrays)
        return cls(arrays, rows, 4 * n * h * seen, both(reference.attend)(*exact, rows))

    def time(self, attends: dict[str, Callable]) -> dict[str, dict]:
        """Of each kernel: the forward pass, that and the backward pass, and its error."""
        figures, calls = {}, {}
        for name, attend in attends.items():
            print(f"compiles {name}", file=sys.stderr)
            try:
                figures[name] = {"error": self.error(both(attend)(*self.arrays, self.rows))}
                calls[name, "forward"] = Call.of(forward(attend), *self.arrays[:3], self.rows)
                calls[name, "both"] = Call.of(both(attend), *self.arrays, self.rows)
            except Exception as error:  # one kernel's failure is a result; the others go on
                figures[name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
                calls = {key: call for key, call in calls.items() if key[0] != name}
        seconds = {key: [] for key in calls}
        for _ in range(REPEATS):  # in turns: what else the machine does hits all of them
            for key, call in calls.items():
                seconds[key].append(call.seconds())
        tokens = self.rows.q_segments.size
        for (name, part), taken in seconds.items():
            median = statistics.median(taken)
            flops = self.forward_flops * (1 if part == "forward" else 3)
            figures[name][part] = {
                "seconds": median,
                "fastest": min(taken),
                "tokens_per_second": tokens / median,
                "flops_per_second": flops / median,
            }
        return figures

    def error(self, results: tuple) -> float:
        """The largest of the output's and the gradients' root mean square, relative."""
        import jax.numpy as jnp

        def size(x):
            return jnp.sqrt(jnp.mean(jnp.square(x.astype(jnp.float32))))

        pairs = zip(results, self.exact, strict=True)
        return max(float(size(x.astype(jnp.float32) - exact) / size(exact)) for x, exact in pairs)


def documents(length: int, mean: int | None, rng):
    """int32 [length]: segments of half to one and a half of the mean, filling the row."""
    import numpy as np

    if mean is None:
        return np.ones(length, np.int32)
    lengths = rng.integers(mean // 2, mean + mean // 2 + 1, 2 * length // mean + 2)
    return np.repeat(np.arange(1, len(lengths) + 1, dtype=np.int32), lengths)[:length]


@functools.cache
def forward(attend: Callable) -> Callable:
    import jax

    return jax.jit(lambda q, k, v, rows: attend(q, k, v, rows))


@functools.cache
def both(attend: Callable) -> Callable:
    """Output and gradients."""
    import jax

    @jax.jit
    def run(q, k, v, d_out, rows):
        out, back = jax.vjp(lambda q, k, v: attend(q, k, v, rows), q, k, v)
        return out, *back(d_out)

    return run


@dataclasses.dataclass(frozen=True)
class Call:
    """A compiled function, its arguments, and how often to call it for a time worth measuring."""

    function: Callable
    arguments: tuple
    times: int = 1

    @classmethod
    def of(cls, function: Callable, *arguments) -> "Call":
        once = cls(function, arguments)
        once.seconds()  # compiles
        return cls(function, arguments, max(1, round(AT_LEAST / once.seconds())))

    def seconds(self) -> float:
        """Of one call."""
        import jax

        start = time.perf_counter()
        for _ in range(self.times):
            results = self.function(*self.arguments)
        jax.block_until_ready(results)
        return (time.perf_counter() - start) / self.times


def table(result: dict) -> str:
    lines = [
        f"{json.dumps(result['task'])} on {result['device']}",
        f"{'':38}{'forward':>34}{'forward and backward':>34}",
        f"{'':38}{'ms':>10}{'tokens/s':>13}{'GFLOP/s':>11}"
        f"{'ms':>10}{'tokens/s':>13}{'GFLOP/s':>11}{'error':>10}",
    ]
    for m in result["measured"]:
        line = f"{m['documents']:20}{m['kernel']:18}"
        if "failed" in m:
            lines.append(f"{line}  failed: {m['failed']}")
            continue
        for p in (m["forward"], m["both"]):
            line += f"{p['seconds'] * 1e3:10.2f}{p['tokens_per_second']:13,.0f}"
            line += f"{p['flops_per_second'] / 1e9:11,.1f}"
        lines.append(f"{line}{m['error']:10.1e}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
