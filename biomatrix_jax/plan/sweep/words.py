"""A sweep's outcome in words: names short enough for a table, the table, what to take."""

import shlex
from collections.abc import Sequence
from typing import Any

from biomatrix_jax.plan.sweep.grid import spell
from biomatrix_jax.plan.sweep.outcome import FITS, UNKNOWN, Outcome
from biomatrix_jax.plan.words import duration, size

COLUMNS = ("tokens/s", "step", "MFU", "memory", "network", "outcome")


def axis_names(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Key -> its last part where no other axis ends so, else the whole key."""
    keys = list(dict(outcomes[0].point.settings)) if outcomes else []
    last = [key.rsplit(".", 1)[-1] for key in keys]
    return {k: name if last.count(name) == 1 else k for k, name in zip(keys, last, strict=True)}


def shown(value: Any) -> str:
    """A setting's value without brackets: a mesh as "fsdp=4 tensor=2"."""
    if isinstance(value, dict):
        return " ".join(f"{key}={spell(size)}" for key, size in value.items()) or "{}"
    return spell(value)


def header(outcomes: Sequence[Outcome]) -> list[str]:
    return [*axis_names(outcomes).values(), *COLUMNS]


def row(one: Outcome) -> list[str]:
    """A point's settings, then what `COLUMNS` says of it, dashes where nothing is known."""
    settings = [shown(value) for _, value in one.point.settings]
    outcome = f"{one.status}: {one.reason}" if one.reason else one.status
    if one.plan is None:
        return [*settings, *["-"] * (len(COLUMNS) - 1), outcome]
    return [
        *settings,
        _or_dash(one.tokens_per_second, "{:,.0f}"),
        "-" if (step := one.plan["estimated_step_seconds"]) is None else duration(step),
        _or_dash(one.plan["estimated_mfu"], "{:.1%}"),
        size(one.plan["peak_bytes"]),
        _or_dash(one.communication_share, "{:.0%}"),
        outcome,
    ]


def table(outcomes: Sequence[Outcome]) -> str:
    """Columns of text, the best point first."""
    lines = [header(outcomes), *map(row, outcomes)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    texts = len(lines[0]) - len(COLUMNS)  # the settings; after them come numbers, then words

    def place(i: int, cell: str) -> str:
        flush_left = i < texts or i == len(widths) - 1
        return cell.ljust(widths[i]) if flush_left else cell.rjust(widths[i])

    return "\n".join(
        "  ".join(place(i, cell) for i, cell in enumerate(line)).rstrip() for line in lines
    )


def recommendation(outcomes: Sequence[Outcome]) -> str:
    """What to take of ranked points and why, in sentences."""
    best = outcomes[0]
    counted = _counted(outcomes)
    if best.plan is None:
        return f"No point can be planned. {counted}"
    chosen = ", ".join(named(best, key) for key in dict(best.point.settings)) or "The point"
    if best.status not in (FITS, UNKNOWN):
        return f"Nothing fits; the nearest is {chosen}, which {best.reason}. {counted}"
    sentences = [f"Take {chosen}: {_merits(best)}."]
    sentences += [line for key in dict(best.point.settings) if (line := _against(outcomes, key))]
    return " ".join([*sentences, counted])


def command(best: Outcome, config: str, fixed: Sequence[str]) -> str:
    """The training command with a point's overrides, to paste."""
    return shlex.join(["biomatrix", "train", config, *fixed, *best.point.overrides, "--out", "RUN"])


def _merits(one: Outcome) -> str:
    plan = one.plan
    memory = f"{size(plan['peak_bytes'])} a device"
    if plan["limit_bytes"]:
        memory += f" of {size(plan['limit_bytes'])}"
    if one.tokens_per_second is None:
        return f"{memory}, the least of all; of this device no speed is known"
    return (
        f"an estimated {one.tokens_per_second:,.0f} tokens/s a device (MFU "
        f"{plan['estimated_mfu']:.1%}, {duration(plan['estimated_step_seconds'])} a step) in "
        f"{memory}"
    )


def _against(outcomes: Sequence[Outcome], key: str) -> str:
    """How the best point with another value of `key` does, as a sentence."""
    best = outcomes[0]
    chosen = dict(best.point.settings)[key]
    others = [o for o in outcomes if o.status == best.status]
    others = [o for o in others if dict(o.point.settings)[key] != chosen]
    if not others or best.tokens_per_second is None:
        return ""
    other = others[0]
    slower = 1 - other.tokens_per_second / best.tokens_per_second
    less = best.plan["peak_bytes"] - other.plan["peak_bytes"]
    memory = f"{size(abs(less))} {'less' if less > 0 else 'more'}" if less else "as much memory"
    pace = f"{slower:.1%} slower" if slower >= 0.0005 else "as fast"
    name = axis_names(outcomes)[key]
    return f"With another {name} the best is {named(other, key)}: {pace}, {memory}."


def named(one: Outcome, key: str) -> str:
    """A setting with its name: "remat full"."""
    value = dict(one.point.settings)[key]
    name = axis_names([one])[key]
    return f"{name} {shown(value)}"


def _counted(outcomes: Sequence[Outcome]) -> str:
    counts = {}
    for one in outcomes:
        counts[one.status] = counts.get(one.status, 0) + 1
    parts = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"Of {len(outcomes)} point{'s' * (len(outcomes) > 1)}: {parts}."


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
