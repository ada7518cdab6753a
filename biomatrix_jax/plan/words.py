"""A plan in words, and a mesh from them."""

import dataclasses

from biomatrix_jax.config import MeshConfig
from biomatrix_jax.errors import BadInput
from biomatrix_jax.plan.plan import Plan

_AXES = tuple(field.name for field in dataclasses.fields(MeshConfig))


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
        True: f" of {size(plan.limit_bytes or 0)}: fits",
        False: f" of {size(plan.limit_bytes or 0)}: DOES NOT FIT",
    }[plan.fits]
    arguments = sorted(plan.argument_parts.items(), key=lambda item: -item[1])
    parts = ", ".join(f"{name} {size(amount)}" for name, amount in arguments if amount >= 1000)
    return [
        ("memory", f"{size(plan.peak_bytes)}{verdict}"),
        ("  arguments", f"{size(plan.argument_bytes)}: {parts}"),
        ("  temporaries", size(plan.temp_bytes)),
    ]


def _work(plan: Plan) -> list[tuple[str, str]]:
    if plan.flops is None:
        return []
    return [
        ("products", _flop(plan.flops)),
        ("memory read and written", f"{size(plan.hbm_bytes)} (estimate)"),
    ]


def _sent(plan: Plan) -> list[tuple[str, str]]:
    """A line for each kind and axis, aligned."""
    cells = [
        (
            f"  {row['kind']} over {' x '.join(row['axes'])}",
            size(row["wire_bytes"]),
            f"in {row['count']}",
            "" if row["seconds"] is None else duration(row["seconds"]),
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
    return [("sent to others", size(total)), *rows]


def _estimate(plan: Plan) -> list[tuple[str, str]]:
    if plan.estimated_step_seconds is None:
        return [("estimated step", "unknown: no published figures, or it does not fit")]
    sent = sum(row["seconds"] for row in plan.collectives)
    beside = sum(row["seconds"] for row in plan.collectives if row["overlapped"])
    parts = [f"computing {duration(plan.estimated_compute_seconds)}"]
    if plan.estimated_memory_seconds > max(plan.estimated_compute_seconds, beside):  # the bound
        parts.append(f"reading and writing memory {duration(plan.estimated_memory_seconds)}")
    parts.append(f"sending {duration(sent)}")
    return [
        ("estimated step", f"{duration(plan.estimated_step_seconds)}: {', '.join(parts)}"),
        ("estimated MFU", f"{plan.estimated_mfu:.1%}, attention over whole rows"),
    ]


def size(amount: float) -> str:
    """Of memory, and of what goes over links: 95.7 GB, 4.8 MB, 12 B."""
    for prefix, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if amount >= unit:
            return f"{amount / unit:,.1f} {prefix}B"
    return f"{amount:.0f} B"


def duration(seconds: float) -> str:
    """46 s, 12.7 ms, 23 µs."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _flop(count: float) -> str:
    scale, prefix = (1e12, "T") if count >= 1e12 else (1e9, "G") if count >= 1e9 else (1e6, "M")
    digits = ".3g" if count < 999.5 * scale else ",.0f"
    return f"{count / scale:{digits}} {prefix}FLOP"
