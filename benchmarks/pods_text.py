"""configs/pods/ and docs/pods.md from the results of benchmarks/pods.py."""

from collections.abc import Sequence
from pathlib import Path

from biomatrix_jax.config import find, parse_yaml
from biomatrix_jax.files import atomic_file
from biomatrix_jax.plan.sweep.grid import spell
from biomatrix_jax.plan.sweep.words import shown
from biomatrix_jax.plan.words import size

COLUMNS = ("tokens/s a device", "step, s", "MFU", "memory", "network", "")
ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs" / "pods"
DOCUMENT = ROOT / "docs" / "pods.md"
NAMES = {"biomatrix_1p7b": "BioMatrix-1.7B", "biomatrix_4b": "BioMatrix-4B"}


def write(results: Sequence[dict], missing: Sequence[str]) -> None:
    """Writes a configuration for each pod of which some point fits, and the table of all.

    Args:
      missing: names of pods without results.
    """
    for result in results:
        if _best(result):
            with atomic_file(CONFIGS / f"{result['name']}.yaml", "w") as file:
                file.write(configuration(result))
    with atomic_file(DOCUMENT, "w") as file:
        file.write(document(results, missing))


def configuration(result: dict) -> str:
    """The YAML of a pod's best point: what the model's own file says, and the point's settings."""
    best = _best(result)
    path = find(result["model"])
    tree = parse_yaml(path.read_text("utf-8"), str(path)) or {}
    for key, value in best["settings"].items():
        *sections, name = key.split(".")
        inner = tree
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value
    comment = [
        f"{NAMES[result['model']]} on {_devices(result)}: the best of {len(result['points'])} "
        f"points, {_how(result)}",
        f"(docs/pods.md). An estimated {best['tokens_per_second_per_device']:,.0f} tokens/s a "
        f"device, {best['estimated_step_seconds']:.3g} s a step;",
        f"{size(best['peak_bytes'])} of memory.",
        f"Made by benchmarks/pods.py {result['name']}; change that, not this.",
    ]
    lines = [f"# {line}" for line in comment]
    return "\n".join([*lines, *(f"{key}: {spell(value)}" for key, value in tree.items()), ""])


def document(results: Sequence[dict], missing: Sequence[str]) -> str:
    """docs/pods.md; arguments as those of `write`."""
    lines = ["# Pod configurations", "", *_paragraphs(results, missing), ""]
    for title, text in (("TPU slices", ON_TPUS), ("GPUs", ON_GPUS)):
        lines += [f"## {title}", "", text, ""]
        own = [result for result in results if _on_gpus(result) == (text is ON_GPUS)]
        lines += [line for result in own for line in (*_section(result), "")]
    return "\n".join(lines)


ON_TPUS = (
    "Memory is the compiler's own account of the whole step against what it lets a program have; "
    "step time, MFU and the network's part are the planner's estimate from the compiled program "
    "and the published peaks. MFU counts attention over whole rows, of which a causal kernel "
    "computes about half. Nothing was run. Every point that was swept is listed."
)
ON_GPUS = (
    "As for TPUs, by the compiler that JAX has for GPUs, eight to a node; memory is held against "
    "the 75% of a GPU that JAX takes by default. What the compiler has run beside computing is "
    "taken to cost nothing as long as computing takes longer. On the machine itself the compiler "
    "also times kernels against each other, for which it needs the device: `biomatrix plan CONFIG "
    "--topology here --sweep` says what it makes of it there."
)


def _paragraphs(results: Sequence[dict], missing: Sequence[str]) -> list[str]:
    lacking = ", ".join(f"`{name}`" for name in missing)
    return [
        "`configs/pods/` holds a configuration for each model and slice below. All train on the "
        "published batch, 1,024 rows of 8,192 tokens, in as many parts (`train.accumulate`) as "
        "the rows that a device takes at a time make; they differ in the mesh and in what the "
        "backward pass keeps. Each is the best point (bold) of a small sweep, whose points each "
        "section names.",
        *(["", f"Named in the script, not swept yet: {lacking}."] if missing else []),
        "",
        "```",
        "biomatrix train pods/" + results[0]["name"] + " data.path=ROWS train.init_from=MODEL "
        "--out RUN",
        "python benchmarks/pods.py                  # makes all of it again",
        "python benchmarks/pods.py " + results[0]["name"] + "    # one of them",
        "```",
    ]


def _section(result: dict) -> list[str]:
    """All points of one pod."""
    points = result["points"]
    lines = [
        f"### {NAMES[result['model']]} on {_devices(result)}",
        "",
        f"`pods/{result['name']}`, {_how(result)} ({result['machine']['date']}).",
        "",
        *_header([*_names(points), *COLUMNS]),
    ]
    return lines + [_line(_settings(p), p, p is _best(result)) for p in points]


def _header(names: Sequence[str]) -> list[str]:
    texts = len(names) - len(COLUMNS)
    rule = "|" + " --- |" * texts + " ---: |" * (len(COLUMNS) - 1) + " --- |"
    return ["| " + " | ".join(names) + " |", rule]


def _line(first: Sequence[str], point: dict, best: bool) -> str:
    cells = [*first, *_cells(point)]
    return "| " + " | ".join(f"**{cell}**" if cell and best else cell for cell in cells) + " |"


def _names(points: Sequence[dict]) -> list[str]:
    return [key.rsplit(".", 1)[-1] for key in points[0]["settings"]]


def _settings(point: dict) -> list[str]:
    return [shown(value) for value in point["settings"].values()]


def _cells(point: dict) -> list[str]:
    if point["peak_bytes"] is None:
        return ["", "", "", "", "", f"{point['status']}: {point['reason']}"]
    forms = {
        "tokens_per_second_per_device": "{:,.0f}",
        "estimated_step_seconds": "{:.3g}",
        "estimated_mfu": "{:.0%}",
        "peak_bytes": "",
        "communication_share": "{:.0%}",
    }
    cells = {k: "" if point[k] is None else form.format(point[k]) for k, form in forms.items()}
    cells["peak_bytes"] = size(point["peak_bytes"])
    return [*cells.values(), "" if point["status"] == "fits" else point["status"]]


def _best(result: dict) -> dict | None:
    first = result["points"][0]
    return first if first["status"] == "fits" else None


def _on_gpus(result: dict) -> bool:
    return "x" not in result["topology"]


def _devices(result: dict) -> str:
    kind, shape = result["topology"].split(":")
    if _on_gpus(result):
        return f"{shape} {kind.upper()}"
    return f"TPU {kind} {shape}, {result['points'][0]['devices']} chips"


def _how(result: dict) -> str:
    versions = result["machine"]["versions"]
    if _on_gpus(result):
        plugin = next(version for name, version in versions.items() if "cuda" in name)
        return f"compiled for them by JAX's CUDA plugin {plugin}"
    return f"compiled for it by libtpu {versions['libtpu']}"
