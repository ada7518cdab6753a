"""What a training run's own record says: how the losses fell, and how fast it went.

Works from the lines of a run's `metrics.jsonl` (their keys: `train.metrics`) and its configuration,
so that it serves a run of its own as well as the quickstart.
"""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from biomatrix_jax import __version__
from biomatrix_jax.config import RunConfig, dump
from biomatrix_jax.report.blocks import Code, Headline, Note, Page, Plot, PlotRow, Section, Table
from biomatrix_jax.report.chart import Series, line_chart
from biomatrix_jax.report.mixture import mixture
from biomatrix_jax.report.numbers import count, duration
from biomatrix_jax.report.render import write

Line = dict[str, Any]

FILE = "report.html"

# A modality has the same color and name on every page.
COLORS = {
    "text": "s1",
    "smiles": "s2",
    "selfies": "s3",
    "molecule_3d": "s4",
    "protein_sequence": "s5",
    "protein_3d": "s6",
}
NAMES = {
    "text": "text",
    "smiles": "SMILES",
    "selfies": "SELFIES",
    "molecule_3d": "molecule 3D",
    "protein_sequence": "protein sequence",
    "protein_3d": "protein 3D",
}
ALL = "all"

SMOOTHING = 1 / 60  # of a run: the standard deviation over which its lines are averaged


def write_report(out: Path, lines: Sequence[Line], config: RunConfig) -> None:
    """Writes `out`/report.html about a run."""
    write(training_page(lines, config, name=out.name), out / FILE)


def training_page(lines: Sequence[Line], config: RunConfig, name: str) -> Page:
    """The page of a training run.

    Args:
      lines: of its `metrics.jsonl` so far, by step.
      name: the run's.
    """
    done = lines[-1]["step"] if lines else 0
    seconds = sum(line["seconds"] for line in lines)
    return Page(
        title=name,
        subtitle=f"{done:,} of {config.train.steps:,} steps, {duration(seconds)} of training",
        headlines=headlines(lines),
        sections=[
            losses(lines),
            *mixed(lines),
            speed(lines),
            Section("What was run", [Code(dump(config), summary="The resolved configuration")]),
        ],
        footer=f"biomatrix-jax {__version__}",
    )


def headlines(lines: Sequence[Line]) -> list[Headline]:
    """Loss, tokens, speed."""
    if not lines:
        return []
    first, last = lines[0], recent(lines)
    tokens = sum(line["tokens"] for line in lines)
    usage = [line["mfu"] for line in lines if line["mfu"] is not None]
    note = "median over steps"
    if usage:
        note = f"MFU {statistics.median(usage):.1%} of a {lines[-1]['peak_source']} peak, median"
    return [
        Headline(
            f"{mean_loss(last):.2f}",
            "loss, nats a token",
            f"from {first['loss']:.2f} at step {first['step']:,}; mean of the last "
            f"{len(last):,} step{'s' * (len(last) > 1)}",
        ),
        Headline(count(tokens), "tokens seen", f"in {lines[-1]['step']:,} steps"),
        Headline(
            count(statistics.median(line["tokens_per_second"] for line in lines)),
            "tokens a second",
            note,
        ),
    ]


def recent(lines: Sequence[Line]) -> Sequence[Line]:
    """The last twentieth of a run, over which its final loss is averaged."""
    return lines[-max(1, len(lines) // 20) :]


def mean_loss(lines: Sequence[Line], modality: str = ALL) -> float:
    """The mean over steps; nan where none has this modality."""
    values = [value for _, value in _values(lines, modality)]
    return statistics.fmean(values) if values else math.nan


def losses(lines: Sequence[Line]) -> Section:
    """How the loss fell, by modality."""
    if not lines:
        return Section("Learning", [Note("No step is done yet.")])
    series = [_series(lines, modality, COLORS[modality]) for modality in _modalities(lines)]
    series.append(_series(lines, ALL, "s0"))
    smoothing = _smoothing(lines)
    labels = {"x_label": "step", "y_label": "loss, nats a token", "smoothing": smoothing}
    averaged = (
        f"Strong lines average about {2 * SMOOTHING:.1%} of the steps at a time, faint ones are "
        "the steps themselves. "
    )
    plot = Plot(
        "Loss by modality",
        wide=line_chart(series, width=1000, height=430, labelled=True, **labels),
        narrow=line_chart(series, width=380, height=300, **labels),
        legend=[(s.name, s.color) for s in series],
        caption=(averaged if smoothing else "") + _unfinished(lines),
    )
    return Section(
        "Learning",
        [plot, _table(lines)],
        lead="The mean negative log-likelihood of the next token, in nats: over all of a batch, "
        "and over the tokens of each kind of segment.",
    )


def speed(lines: Sequence[Line]) -> Section:
    """Learning rate, gradient norm and throughput, step by step."""
    shown = {
        "learning_rate": "Learning rate",
        "grad_norm": "Gradient norm, before clipping",
        "tokens_per_second": "Tokens a second",
    }
    steps = [line["step"] for line in lines]
    plots = [
        Plot(
            title,
            line_chart(
                [Series(title, steps, [line[key] for line in lines], "s1")],
                width=380,
                height=230,
                x_label="step",
                y_label="",
                smoothing=0 if key == "learning_rate" else _smoothing(lines),
            ),
        )
        for key, title in shown.items()
    ]
    return Section("Step by step", [PlotRow(plots)])


def mixed(lines: Sequence[Line]) -> list[Section]:
    """What was drawn beside what was asked for; none before the first step that says so."""
    if not lines or "drawn_by_source" not in lines[-1]:
        return []
    return [mixture(lines, len(recent(lines)), NAMES)]


def _table(lines: Sequence[Line]) -> Table:
    rows = []
    for modality in [*_modalities(lines), ALL]:
        first = _values(lines, modality)[0][1]
        last = mean_loss(recent(lines), modality)
        if modality == ALL:
            targets = sum(sum(line["targets_by_modality"].values()) for line in lines)
        else:
            targets = sum(line["targets_by_modality"].get(modality, 0) for line in lines)
        fell = "-" if math.isnan(last) else f"{last:.3f}"
        perplexity = "-" if math.isnan(last) or last > 20 else f"{math.exp(last):,.2f}"
        rows.append(
            (NAMES.get(modality, modality), f"{first:.3f}", fell, perplexity, f"{targets:,}")
        )
    columns = ("", "first loss", "last loss", "last perplexity", "tokens predicted")
    steps = len(recent(lines))
    return Table(
        columns,
        rows,
        numeric=columns[1:],
        caption=f"First: the first step with such tokens. Last: the mean of the last {steps:,} "
        f"step{'s' * (steps > 1)}, and its exponential.",
    )


def _modalities(lines: Sequence[Line]) -> list[str]:
    return [name for name in COLORS if any(name in line["loss_by_modality"] for line in lines)]


def _series(lines: Sequence[Line], modality: str, color: str) -> Series:
    values = _values(lines, modality)
    return Series(
        NAMES.get(modality, modality), [x for x, _ in values], [y for _, y in values], color
    )


def _values(lines: Sequence[Line], modality: str) -> list[tuple[int, float]]:
    if modality == ALL:
        return [(line["step"], line["loss"]) for line in lines]
    return [
        (line["step"], line["loss_by_modality"][modality])
        for line in lines
        if modality in line["loss_by_modality"]
    ]


def _smoothing(lines: Sequence[Line]) -> float:
    """None in a run so short that it would reach over less than a step."""
    return SMOOTHING if len(lines) * SMOOTHING >= 0.5 else 0


def _unfinished(lines: Sequence[Line]) -> str:
    """What to say of steps whose loss is no number: a line cannot show them."""
    bad = [line["step"] for line in lines if not math.isfinite(line["loss"])]
    if not bad:
        return ""
    return f"{len(bad):,} steps, the first of them {bad[0]:,}, have no finite loss: not drawn."
