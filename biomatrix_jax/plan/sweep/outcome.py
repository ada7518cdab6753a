"""What came of each point, the best first, as rows for people and for programs."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from biomatrix_jax.config import RunConfig
from biomatrix_jax.plan.sweep.grid import Point, spell
from biomatrix_jax.plan.words import size

FITS, UNKNOWN, TOO_LARGE, INVALID, FAILED = STATUSES = (
    "fits",
    "planned",  # for a device of whose memory nothing is known
    "too large",
    "invalid",
    "failed",
)
Status = Literal["fits", "planned", "too large", "invalid", "failed"]
DERIVED = (
    "tokens_per_second_per_device",
    "tokens_at_once_per_device",
    "communication_bytes",
    "communication_share",
)
NUMBERS = (
    "peak_bytes",
    "limit_bytes",
    "argument_bytes",
    "temp_bytes",
    "flops",
    "hbm_bytes",
    "estimated_step_seconds",
    "estimated_mfu",
    "compile_seconds",
)


@dataclass(frozen=True)
class Outcome:
    """A point and its plan, or the one line that says why there is none.

    Attributes:
      config: the point's; None where its overrides are no configuration.
      plan: `Plan.as_json()`; there is one unless the point is invalid or failed.
      reason: why it does not fit, is invalid or failed; else empty.
      cached: whether the plan was made before.
    """

    point: Point
    config: RunConfig | None
    status: Status
    plan: dict[str, Any] | None = None
    reason: str = ""
    cached: bool = False

    @property
    def tokens_per_second(self) -> float | None:
        """A device's, estimated, padding counted; None where no step time is known."""
        seconds = self.plan and self.plan["estimated_step_seconds"]
        return self._step_tokens / self.plan["devices"] / seconds if seconds else None

    @property
    def tokens_at_once(self) -> float | None:
        """Of a device: what goes through the model together, its share of a part of the batch."""
        parts = self.plan and self.plan["devices"] * self.config.train.accumulate
        return self._step_tokens / parts if parts else None

    @property
    def communication_bytes(self) -> float | None:
        """Of a step, what a device must send, and receives as much; None where nothing was
        compiled, or the compiler refused it for its size."""
        if not self.plan or self.plan["flops"] is None:
            return None
        return float(sum(one["wire_bytes"] for one in self.plan["collectives"]))

    @property
    def communication_share(self) -> float | None:
        """Of the estimated step, the part that the network is busy, hidden or not."""
        if not self.plan or not self.plan["estimated_step_seconds"]:
            return None
        busy = sum(one["seconds"] for one in self.plan["collectives"])
        return busy / self.plan["estimated_step_seconds"]

    @property
    def _step_tokens(self) -> int:
        return self.config.data.batch_rows * self.config.data.row_length


def outcome(point: Point, config: RunConfig, reply: dict[str, Any], cached=False) -> Outcome:
    """Reads a worker's reply."""
    if "plan" in reply:
        plan = reply["plan"]
        status = {True: FITS, False: TOO_LARGE, None: UNKNOWN}[plan["fits"]]
        return Outcome(point, config, status, plan, _why_not(plan), cached)
    if "invalid" in reply:
        return Outcome(point, config, INVALID, reason=reply["invalid"], cached=cached)
    return Outcome(point, config, FAILED, reason=reply["failed"])


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The best first: of those that fit the most tokens a second and device, estimated, then the
    least memory; then those that may fit; those that do not, the nearest to fitting first; then
    those without a plan, in the order of the grid."""

    def place(one: Outcome) -> tuple:
        speed, peak = one.tokens_per_second or 0.0, one.plan["peak_bytes"] if one.plan else 0
        faster_first = -speed if one.status in (FITS, UNKNOWN) else 0.0
        return STATUSES.index(one.status), faster_first, peak

    return sorted(outcomes, key=place)


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """A line each in the order given: the settings, what came of them, the plan's numbers."""
    axes = list(dict(outcomes[0].point.settings)) if outcomes else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*axes, "status", "reason", *DERIVED, *NUMBERS, "collectives", "overrides"])
    for one in outcomes:
        settings, plan = dict(one.point.settings), one.plan or {}
        writer.writerow(
            [
                *(spell(settings[axis]) for axis in axes),
                one.status,
                one.reason,
                *(_cell(value) for value in derived(one).values()),
                *(_cell(plan.get(name)) for name in NUMBERS),
                json.dumps(plan["collectives"]) if plan else "",
                " ".join(one.point.overrides),
            ]
        )
    return text.getvalue()


def as_json(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The same as plain values, each with its whole plan."""
    return [
        {
            "settings": dict(one.point.settings),
            "overrides": one.point.overrides,
            "status": one.status,
            "reason": one.reason,
            **derived(one),
            "plan": one.plan,
        }
        for one in outcomes
    ]


def derived(one: Outcome) -> dict[str, float | None]:
    """What follows from a plan and its configuration, by name; None where there is no plan."""
    values = (
        one.tokens_per_second,
        one.tokens_at_once,
        one.communication_bytes,
        one.communication_share,
    )
    return dict(zip(DERIVED, values, strict=True))


def _why_not(plan: dict[str, Any]) -> str:
    if plan["fits"] is not False:
        return ""
    peak, limit = size(plan["peak_bytes"]), size(plan["limit_bytes"])
    return f"needs {peak} of the {limit} that a program may take"


def _cell(value: float | None) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
