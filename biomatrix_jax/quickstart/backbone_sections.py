"""What the page says about generated backbones: what they look like, and how real chains do."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from biomatrix_jax.quickstart.backbones import (
    STEP,
    BackboneVerdict,
    RoundTrip,
    Shape,
    measure,
)
from biomatrix_jax.quickstart.views import draw_backbone
from biomatrix_jax.report.blocks import Block, Plot, PlotRow, Section, Table, View, Views
from biomatrix_jax.report.chart import Series, line_chart
from biomatrix_jax.report.numbers import percent
from biomatrix_jax.report.view3d import script

VIEWS = 3
COLORS = ("s0", "s5", "s6")  # of the kinds of chains


def backbones(verdicts: Sequence[BackboneVerdict], chains: RoundTrip) -> Section:
    """Those generated, beside real chains and beside what these chains' codes decode to."""
    made = [verdict.backbone for verdict in verdicts if verdict.backbone is not None]
    kinds = {
        "real chains": chains.real,
        "real chains through their codes": chains.decoded,
        "generated": [measure(backbone) for backbone in made],
    }
    blocks: list[Block] = [_table(kinds, verdicts, chains)]
    if made:
        views = [_view(i, backbone) for i, backbone in enumerate(made[:VIEWS], start=1)]
        caption = "From the N end, blue, to the C end, red: the path of the CA atoms."
        charts = [
            _chart("From one CA to the next", _all(kinds, "steps"), (2.0, 6.0), 0.1),
            _chart("To the third one on", _all(kinds, "turns"), (2.0, 14.0), 0.3),
        ]
        blocks = [Views(views, caption), *blocks, PlotRow(charts)]
    return Section(
        "Protein backbones",
        blocks,
        lead="Written as structure codes, one a residue, and decoded to N, CA and C. The first "
        "ones, in the order they were generated. Drag to turn them; the wheel zooms while Ctrl is "
        "down.",
    )


def _view(number: int, backbone: np.ndarray) -> View:
    drawn = draw_backbone(backbone)
    name = f"backbone{number}"
    return View(
        name,
        drawn.png,
        script(drawn.view, name),
        caption=f"{len(backbone)} residues",
        detail=f"structures/{name}.pdb",
    )


def _table(
    kinds: dict[str, Sequence[Shape]], verdicts: Sequence[BackboneVerdict], chains: RoundTrip
) -> Table:
    columns = ("", "chains", "residues", "CA to CA, Å", "of 3.8 Å", "compactness", "overlaps")
    reasons = Counter(verdict.reason for verdict in verdicts if verdict.backbone is None)
    failed = ", ".join(f"{reason}: {n}" for reason, n in reasons.most_common())
    return Table(
        columns,
        [(kind, *_figures(shapes)) for kind, shapes in kinds.items()],
        numeric=columns[1:],
        caption=f"Of {len(verdicts)} generated {len(kinds['generated'])} are backbones"
        f"{f' ({failed})' if failed else ''}. Through its codes a real chain comes back within "
        f"{np.median(chains.rmsd):.1f} Å RMSD of its CA, with a TM-score of "
        f"{np.median(chains.tm):.2f} (medians; below 0.5 it is another fold): what the structure "
        "tokenizer alone loses, of chains that it was trained on, with few exceptions; others "
        "lose far more. Residues and compactness are medians. Of 3.8 Å: steps "
        f"from {STEP[0]} to {STEP[1]} Å. Compactness: "
        "the radius of gyration over that of a globular protein as long, 2.2 L^0.38 Å. Overlaps: "
        "pairs of residues with CA closer than 3 Å, for 100 residues. Below, helices show as a "
        "peak at 5 to 5.5 Å and strands as one at 10 Å. Whether a sequence could fold so, none of "
        "this says.",
    )


def _figures(shapes: Sequence[Shape]) -> tuple[str, ...]:
    if not shapes:
        return ("0", *"-----")
    steps = np.concatenate([shape.steps for shape in shapes])
    near = int(((steps >= STEP[0]) & (steps <= STEP[1])).sum())
    residues = sum(shape.residues for shape in shapes)
    return (
        f"{len(shapes):,}",
        f"{np.median([shape.residues for shape in shapes]):.0f}",
        f"{steps.mean():.2f} ± {steps.std():.2f}" if len(steps) else "-",
        percent(near, len(steps)),
        f"{np.median([shape.compactness for shape in shapes]):.2f}",
        f"{100 * sum(shape.overlaps for shape in shapes) / residues:.1f}",
    )


def _chart(
    title: str, kinds: dict[str, np.ndarray], shown: tuple[float, float], width: float
) -> Plot:
    """How distances, in angstrom, are distributed: % of each kind's in bins of a width."""
    edges = np.arange(shown[0], shown[1] + width / 2, width)
    series = [
        Series(
            kind,
            (edges[:-1] + edges[1:]) / 2,
            100 * np.histogram(distances, edges)[0] / max(len(distances), 1),
            color,
        )
        for (kind, distances), color in zip(kinds.items(), COLORS, strict=True)
    ]
    return Plot(
        title,
        line_chart(series, width=480, height=260, x_label="Å", y_label="%"),
        legend=[(one.name, one.color) for one in series],
    )


def _all(kinds: dict[str, Sequence[Shape]], what: str) -> dict[str, np.ndarray]:
    """The distances of all chains of each kind."""
    return {
        kind: np.concatenate([getattr(shape, what) for shape in shapes])
        for kind, shapes in kinds.items()
    }
