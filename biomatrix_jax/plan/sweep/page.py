"""A sweep as a page and as files for programs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from biomatrix_jax import __version__
from biomatrix_jax.config import RunConfig, dump
from biomatrix_jax.files import atomic_file
from biomatrix_jax.plan.sweep import words
from biomatrix_jax.plan.sweep.outcome import Outcome, as_csv, as_json
from biomatrix_jax.plan.sweep.pictures import Picture, pictures
from biomatrix_jax.plan.words import duration, size
from biomatrix_jax.report.blocks import Code, Facts, Headline, Note, Page, Plot, Section, Table
from biomatrix_jax.report.render import render
from biomatrix_jax.report.svg import standalone

ESTIMATE = (
    "Memory is the compiler's own account. Times are estimates from the compiled program and the "
    "published peaks of the device: nothing was run."
)


def write(
    out: Path,
    outcomes: Sequence[Outcome],
    base: RunConfig,
    config: str,
    fixed: Sequence[str],
    about: Mapping[str, str],
) -> None:
    """Writes results.csv, results.json, report.html and the pictures as .svg, each atomically.

    Args:
      outcomes: ranked.
      base: the configuration that the points start from.
      config, fixed: the same as it was given: name or path, overrides that hold for every point.
      about: what was planned and with what, for people: "topology", "versions", ...
    """
    drawn = pictures(outcomes)
    files = {
        "results.csv": as_csv(outcomes),
        "results.json": json.dumps({**about, "points": as_json(outcomes)}, indent=1) + "\n",
        "report.html": render(page(outcomes, base, config, fixed, about)),
        **{f"{p.name}.svg": standalone(p.wide) for p in drawn},
    }
    for name, content in files.items():
        with atomic_file(out / name, "w") as file:
            file.write(content)


def page(
    outcomes: Sequence[Outcome],
    base: RunConfig,
    config: str,
    fixed: Sequence[str],
    about: Mapping[str, str],
) -> Page:
    """The page about ranked points; arguments as those of `write`."""
    best = outcomes[0]
    advice: list = [Note(words.recommendation(outcomes))]
    if best.plan and not best.reason:
        advice.append(Code(words.command(best, config, fixed)))
    columns = words.header(outcomes)
    numbers = columns[-len(words.COLUMNS) : -1]
    drawn = pictures(outcomes)
    return Page(
        title=f"{config} on {about['topology']}",
        subtitle=f"{len(outcomes)} ways to lay a run out, planned without the devices. {ESTIMATE}",
        headlines=_headlines(best),
        sections=[
            Section("What to take", advice),
            *([Section("Pictures", [_plot(one) for one in drawn])] if drawn else []),
            Section(
                "All points",
                [Table(columns, [_row(one) for one in outcomes], numeric=numbers)],
                lead="The best first. Tokens a second are of a device, padding counted; network is "
                "the part of the step that it is busy, hidden or not.",
            ),
            Section(
                "How it was planned",
                [
                    Facts(list(about.items())),
                    Code(dump(base), summary="The configuration that the points start from"),
                ],
            ),
        ],
        footer=f"biomatrix-jax {__version__}",
    )


def _headlines(best: Outcome) -> list[Headline]:
    if best.plan is None:
        return []
    plan, shown = best.plan, []
    if best.tokens_per_second is not None:
        pace, seconds = best.tokens_per_second, plan["estimated_step_seconds"]
        shown.append(Headline(f"{pace:,.0f}", "tokens/s a device", "estimated"))
        shown.append(Headline(duration(seconds), "a step", "estimated"))
        shown.append(Headline(f"{plan['estimated_mfu']:.0%}", "of the peak (MFU)", "estimated"))
    limit = plan["limit_bytes"]
    note = f"of {size(limit)} that a program may take" if limit else "at its peak"
    shown.append(Headline(size(plan["peak_bytes"]), "memory a device", note))
    return shown


def _plot(one: Picture) -> Plot:
    return Plot(one.title, one.wide, one.caption, one.narrow, one.legend)


def _row(one: Outcome) -> list[str]:
    """As `words.row`; settings of several words stay in one line."""
    settings = len(one.point.settings)
    cells = words.row(one)
    return [cell.replace(" ", "\N{NO-BREAK SPACE}") for cell in cells[:settings]] + cells[settings:]
