"""How a step's memory and time grow with the row, the batch, the vocabulary and the devices.

    python benchmarks/growth.py            plan what is not planned yet, write results and the table
    python benchmarks/growth.py --write    the table alone, from the results that are there

Each step is compiled for TPU v5e by libtpu (pip install 'biomatrix-jax[tpu]'), none is run; beside
the compiled figures stands what each should be by arithmetic (`arithmetic.py`).
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import machine
from arithmetic import estimate

from biomatrix_jax.files import atomic_file
from biomatrix_jax.plan.sweep.outcome import Outcome
from biomatrix_jax.plan.sweep.run import sweep

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results" / "growth.json"
DOCUMENT = FOLDER.parent / "docs" / "growth.md"

CONFIG = "qwen3_0p6b"
BASE = ("data.row_length=4096", "data.batch_rows=8", "compute.remat=full", "mesh={fsdp: -1}")
TOPOLOGY = "v5e:2x2"
# What changes, the override's key, its values; the rest is as in BASE. Devices: the topology.
GROWTH = (
    ("tokens of a row", "data.row_length", (2048, 4096, 8192)),
    ("rows of the batch", "data.batch_rows", (4, 8, 16)),
    ("words of the vocabulary", "model.vocab_size", (37_984, 75_968, 151_936)),
    ("devices", "", ("v5e:2x2", "v5e:2x4")),
)
QUANTITIES = (  # of a plan and of an estimate, its name in the table, its unit
    ("argument_bytes", "arguments, GB", 1e9),
    ("temp_bytes", "temporaries, GB", 1e9),
    ("flops", "TFLOP", 1e12),
    ("network_bytes", "network, GB", 1e9),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="only the table, from the results")
    parser.add_argument("--jobs", type=int, help="compiles at a time")
    arguments = parser.parse_args()
    if not arguments.write:
        results = {"machine": machine.describe(("jax", "jaxlib", "libtpu")), "config": CONFIG}
        results |= {"base": BASE, "points": []}
        for point in measure(arguments.jobs):  # kept axis by axis: they take minutes
            results["points"].append(point)
            with atomic_file(RESULTS, "w") as file:
                json.dump(results, file, indent=1)
    with atomic_file(DOCUMENT, "w") as file:
        file.write(document(json.loads(RESULTS.read_text("utf-8"))))


def measure(jobs: int | None) -> Iterator[dict]:
    """A compiled step for each value of each axis, beside what arithmetic says of it."""
    for title, key, values in GROWTH:
        for value, topology, one in _planned(key, values, jobs):
            if one.plan is None:
                raise SystemExit(f"{title} {value}: {one.reason}")
            ideal = estimate(one.config, one.plan["mesh"])
            yield {
                "axis": title,
                "value": value,
                "topology": topology,
                "compiled": one.plan | {"network_bytes": one.communication_bytes},
                "arithmetic": {name: getattr(ideal, name) for name, *_ in QUANTITIES},
            }


def _planned(key: str, values: tuple, jobs: int | None) -> Iterator[tuple[int, str, Outcome]]:
    """(value, topology, outcome), in order."""
    if not key:
        for topology in values:
            [one] = sweep(CONFIG, topology, [*BASE, "compute.remat=[full]"], jobs=jobs).outcomes
            yield one.plan["devices"], topology, one
        return
    fixed = [override for override in BASE if not override.startswith(f"{key}=")]
    axis = f"{key}=[{', '.join(map(str, values))}]"
    found = sweep(CONFIG, TOPOLOGY, [*fixed, axis], jobs=jobs).outcomes
    for value in values:
        yield value, TOPOLOGY, next(o for o in found if dict(o.point.settings)[key] == value)


def document(results: dict) -> str:
    """docs/growth.md."""
    about = results["machine"]
    lines = [
        "# How a step grows",
        "",
        "Made by `python benchmarks/growth.py`. Of one device: a training step of "
        f"`{results['config']}` with `{' '.join(results['base'])}`, compiled by libtpu "
        f"{about['versions'].get('libtpu')} with jax {about['versions']['jax']} for TPU v5e, four "
        "chips where nothing else is said. Nothing was run: memory is the compiler's account, "
        "FLOPs and network are counted in the compiled program, step times are the planner's "
        "estimate from the published peaks. MFU counts attention over whole rows, of which a "
        "causal kernel computes about half.",
        "",
        "Beside each compiled figure, in brackets, what it should be by arithmetic "
        "(`benchmarks/arithmetic.py` says term by term). Arguments are to be exact; temporaries "
        "leave out what the compiler adds and are a floor; FLOPs count attention over the half of "
        "the row that the causal mask leaves, where a kernel computes whole blocks, and its scores "
        "once more for its backward pass.",
        "",
    ]
    for title in dict.fromkeys(point["axis"] for point in results["points"]):
        points = [point for point in results["points"] if point["axis"] == title]
        lines += [f"## {title.capitalize()}", "", *_table(title, points), "", SHOULD[title], ""]
    return "\n".join(lines)


SHOULD = {
    "tokens of a row": "Arguments stay but for the batch's own arrays. Saved layer inputs, and so "
    "temporaries, grow with the tokens; FLOPs do too, and attention's part with their square. What "
    "is gathered of the weights stays.",
    "rows of the batch": "As with the row, without the square.",
    "words of the vocabulary": "Parameters, moments and gradients of the table grow with it, and "
    "so do the loss's FLOPs and what it gathers; activations stay, for no device has the logits.",
    "devices": "The batch is the same: each device has its share of the parameters and of the "
    "rows. What a device receives of the weights hardly changes, (n - 1)/n of them; its arithmetic "
    "halves, so communication takes a larger part.",
}


def _table(title: str, points: list[dict]) -> list[str]:
    header = [title, *(name for _, name, _ in QUANTITIES), "step, s", "MFU"]
    lines = ["| " + " | ".join(header) + " |", "|" + " ---: |" * len(header)]
    for point in points:
        compiled, ideal = point["compiled"], point["arithmetic"]
        cells = [
            f"{compiled[name] / unit:,.3g} ({ideal[name] / unit:,.3g})"
            for name, _, unit in QUANTITIES
        ]
        seconds, mfu = compiled["estimated_step_seconds"], compiled["estimated_mfu"]
        lines.append(f"| {point['value']:,} | {' | '.join(cells)} | {seconds:.3g} | {mfu:.1%} |")
    return lines


if __name__ == "__main__":
    main()
