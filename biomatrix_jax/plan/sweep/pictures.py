"""A sweep in pictures: memory against the batch, step time by mesh, what the network takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from biomatrix_jax.plan.sweep.outcome import FITS, UNKNOWN, Outcome
from biomatrix_jax.plan.sweep.words import named, shown
from biomatrix_jax.plan.words import size
from biomatrix_jax.report.bar_chart import PartedBar, bar_chart
from biomatrix_jax.report.chart import Series, line_chart

COLORS = ("s1", "s2", "s3", "s4", "s5", "s6")
KIND_COLORS = (*COLORS, "s0")  # as many as there are kinds of collectives
BATCH = ("data.batch_rows", "train.accumulate")  # keys that set how much goes through at a time
WIDTH, NARROW = 1000, 380  # on a page, and on a phone's
MOST_BARS = 12
NEAR = 10  # the most that a limit may be above all lines, times, to be in the picture


@dataclass(frozen=True)
class Picture:
    """A drawing for a page, and for a file of its own: `name`.svg, `WIDTH` wide."""

    name: str
    title: str
    wide: Markup
    narrow: Markup
    caption: str
    legend: Sequence[tuple[str, str]] = ()  # of `narrow`, where `wide` has labels instead


def pictures(outcomes: Sequence[Outcome]) -> list[Picture]:
    """Those that ranked points allow; without any plan, none."""
    planned = [one for one in outcomes if one.plan]
    timed = [one for one in planned if one.tokens_per_second and one.status in (FITS, UNKNOWN)]
    drawn = [memory(planned)] if planned else []
    return drawn + ([step_time(timed), communication(timed)] if timed else [])


def memory(outcomes: Sequence[Outcome]) -> Picture:
    """A line for each choice of what is not the batch; the best six."""
    groups: dict[str, list[Outcome]] = {}
    for one in outcomes:
        groups.setdefault(_name(one, outcomes, without=BATCH), []).append(one)
    lines = []
    for color, (name, members) in zip(COLORS, groups.items(), strict=False):
        members = sorted(members, key=lambda one: one.tokens_at_once)
        x = [one.tokens_at_once for one in members]
        lines.append(Series(name, x, [one.plan["peak_bytes"] / 1e9 for one in members], color))
    limit = outcomes[0].plan["limit_bytes"]
    if limit and max(one.plan["peak_bytes"] for one in outcomes) < limit / NEAR:
        limit = None  # so far off that the lines would lie on the axis

    def draw(width: int, height: int, labelled: bool) -> Markup:
        return line_chart(
            lines,
            width=width,
            height=height,
            x_label="tokens of a device at a time",
            y_label="memory of a device, GB",
            labelled=labelled,
            dotted=True,
            limit=(f"{size(limit)} may be used", limit / 1e9) if limit else None,
        )

    left_out = len(groups) - len(lines)
    caption = "Arguments, temporaries and results of the compiled step at their peak."
    if left_out:
        caption += f" The {len(lines)} best of {len(groups)} choices beside the batch."
    legend = [(line.name, line.color) for line in lines]
    drawn = draw(WIDTH, 430, labelled=True), draw(NARROW, 300, labelled=False)
    return Picture("memory", "Memory against the batch", *drawn, caption, legend)


def step_time(outcomes: Sequence[Outcome]) -> Picture:
    """The estimated time of a step by mesh."""
    chosen = _best_by_mesh(outcomes)
    bars = [
        PartedBar(name, [one.plan["estimated_step_seconds"]], _pace(one)) for name, one in chosen
    ]
    caption = "Behind each bar the tokens a second of a device, and the best of the other settings."
    caption = f"{caption} {_cut(outcomes, chosen)}"
    parts = [("all", "s1")]
    return _bars("step_time", "Step time", bars, parts, "seconds a step, estimated", caption)


def communication(outcomes: Sequence[Outcome]) -> Picture:
    """For how much of a step the network is busy, by what it does."""
    chosen = _best_by_mesh(outcomes)
    kinds = list(dict.fromkeys(c["kind"] for _, one in chosen for c in one.plan["collectives"]))
    bars = []
    for name, one in chosen:
        seconds = dict.fromkeys(kinds, 0.0)
        for collective in one.plan["collectives"]:
            seconds[collective["kind"]] += collective["seconds"]
        step = one.plan["estimated_step_seconds"]
        shares = [100 * value / step for value in seconds.values()]
        bars.append(PartedBar(name, shares, f"{one.communication_share:.0%}"))
    caption = (
        "For how much of a step's estimated time the network is busy, hidden behind arithmetic or "
        f"not. {_cut(outcomes, chosen)}"
    )
    parts = list(zip(kinds, KIND_COLORS, strict=False))
    return _bars("communication", "Communication", bars, parts, "% of the step", caption)


def _bars(name, title, bars, parts, x_label, caption) -> Picture:
    def draw(width: int, notes: bool) -> Markup:
        shown = bars if notes else [PartedBar(bar.name, bar.parts) for bar in bars]
        return bar_chart(shown, parts, width=width, x_label=x_label, title=title)

    drawn = draw(WIDTH, notes=True), draw(NARROW, notes=False)
    return Picture(name, title, *drawn, caption.strip())


def _best_by_mesh(outcomes: Sequence[Outcome]) -> list[tuple[str, Outcome]]:
    """Names and the best point of each mesh; where there is but one mesh, the best points."""
    by_mesh: dict[str, Outcome] = {}
    for one in outcomes:
        by_mesh.setdefault(_mesh(one), one)
    if len(by_mesh) > 1:
        return list(by_mesh.items())[:MOST_BARS]
    return [(_name(one, outcomes), one) for one in outcomes[:MOST_BARS]]


def _cut(outcomes: Sequence[Outcome], chosen: Sequence) -> str:
    meshes = len({_mesh(one) for one in outcomes})
    all_of_them = meshes if meshes > 1 else len(outcomes)
    return f"The {len(chosen)} best of {all_of_them}." if len(chosen) < all_of_them else ""


def _mesh(one: Outcome) -> str:
    sizes = {axis: size for axis, size in one.plan["mesh"].items() if size > 1}
    return shown(sizes) if sizes else "one device"


def _pace(one: Outcome) -> str:
    settings = [named(one, key) for key in dict(one.point.settings) if key != "mesh"]
    return ", ".join([f"{one.tokens_per_second:,.0f} tokens/s", *settings])


def _name(one: Outcome, outcomes: Sequence[Outcome], without: Sequence[str] = ()) -> str:
    """The settings in which points differ."""
    settings = dict(one.point.settings)
    differ = [
        key
        for key in settings
        if key not in without and len({str(dict(o.point.settings)[key]) for o in outcomes}) > 1
    ]
    return ", ".join(shown(settings[key]) for key in differ) or "all"
