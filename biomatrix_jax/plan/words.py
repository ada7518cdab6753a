"""A plan in words, and a mesh from them."""

import dataclasses

from biomatrix_jax.config import MeshConfig
from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan.plan import Plan

_AXES = tuple(field.name for field in dataclasses.fields(MeshConfig))
_PREFIXES = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


def mesh_overrides(text: str) -> list[str]:
    """fsdp=8,tensor=2 -> overrides of a configuration's mesh; axes not named are 1.

    Raises:
      BadInput: an axis that does not exist, twice, or without a size.
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        axis, _, size = part.strip().partition("=")
        if axis not in _AXES or axis in sizes or not size.removeprefix("-").isdecimal():
            raise BadInput(
                f"--mesh {text}: {part.strip()!r} is not axis=size, or an axis twice; write "
                f"fsdp=8,tensor=2 with axes of {', '.join(_AXES)}"
            )
        sizes[axis] = int(size)
    return [f"mesh.{axis}={sizes.get(axis, 1)}" for axis in _AXES]


def text(plan: Plan) -> str:
    """For people: every figure of one device, the largest first."""
    axes = [f"{axis}={size}" for axis, size in plan.mesh.items() if size > 1]
    mesh = f"{plan.devices} devices, mesh {' '.join(axes)}; of each device" if axes else "1 device"
    rows = [
        *_memory(plan),
        *_work(plan),
        *_sent(plan),
        *_estimate(plan),
        ("compiled", f"in {plan.compile_seconds:.1f} s"),
    ]
    width = max(len(label) for label, _ in rows)
    lines = [
        f"{plan.topology}: {mesh}:",
        *(f"  {label:<{width}}  {value}".rstrip() for label, value in rows),
    ]
    return "\n".join([*lines, *(f"  note: {note}" for note in plan.notes)])


def _memory(plan: Plan) -> list[tuple[str, str]]:
    verdict = {
        None: "",
        True: f" of {_amount(plan.limit_bytes or 0)}B: fits",
        False: f" of {_amount(plan.limit_bytes or 0)}B: DOES NOT FIT",
    }[plan.fits]
    arguments = sorted(plan.argument_parts.items(), key=lambda item: -item[1])
    parts = ", ".join(f"{name} {_amount(size)}B" for name, size in arguments if size >= 1000)
    return [
        ("memory", f"{_amount(plan.peak_bytes)}B{verdict}"),
        ("  arguments", f"{_amount(plan.argument_bytes)}B: {parts}"),
        ("  temporaries", f"{_amount(plan.temp_bytes)}B"),
    ]


def _work(plan: Plan) -> list[tuple[str, str]]:
    if plan.flops is None:
        return []
    share = f", {plan.model_flops / plan.flops:.0%} of them the model's" if plan.flops else ""
    return [
        ("products", f"{_amount(plan.flops)}FLOP{share}"),
        ("memory read and written", f"{_amount(plan.hbm_bytes)}B (estimate)"),
    ]


def _sent(plan: Plan) -> list[tuple[str, str]]:
    """A line for each kind and axis, aligned."""
    cells = [
        (
            f"  {row['kind']} over {' x '.join(row['axes'])}",
            f"{_amount(row['wire_bytes'])}B",
            f"in {row['count']}",
            "" if row["seconds"] is None else _seconds(row["seconds"]),
            "beside computing" if row["overlapped"] else "",
        )
        for row in plan.collectives
    ]
    if not cells:
        return [] if plan.flops is None else [("sent to others", "nothing")]
    total = sum(row["wire_bytes"] for row in plan.collectives)
    widths = [max(len(cell[i]) for cell in cells) for i in (1, 2, 3)]
    rows = [
        (label, f"{sent:>{widths[0]}} {times:<{widths[1]}}  {seconds:>{widths[2]}}  {how}")
        for label, sent, times, seconds, how in cells
    ]
    return [("sent to others", f"{_amount(total)}B"), *rows]


def _estimate(plan: Plan) -> list[tuple[str, str]]:
    if plan.estimated_step_seconds is None:
        return [("estimated step", "unknown: no published peaks, or it does not fit")]
    sent = sum(row["seconds"] for row in plan.collectives)
    return [
        (
            "estimated step",
            f"{_seconds(plan.estimated_step_seconds)}: computing "
            f"{_seconds(plan.estimated_compute_seconds)}, sending {_seconds(sent)}",
        ),
        ("estimated MFU", f"{plan.estimated_mfu:.1%}"),
    ]


def _amount(value: float) -> str:
    for prefix, size in _PREFIXES:
        if value >= size:
            digits = ".3g" if value < 999.5 * size else ",.0f"
            return f"{value / size:{digits}} {prefix}"
    return f"{value:.0f} "


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"
