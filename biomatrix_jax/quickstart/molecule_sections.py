"""What the page says about generated molecules: how many are some, what they look like."""

from collections import Counter
from collections.abc import Collection, Mapping

from biomatrix_jax.quickstart.molecules import Judged, Verdict, first_of_each
from biomatrix_jax.quickstart.pictures import draw_conformer, draw_flat
from biomatrix_jax.quickstart.views import draw_molecule
from biomatrix_jax.report.blocks import Gallery, Headline, Section, Table, Tile, View, Views
from biomatrix_jax.report.numbers import percent
from biomatrix_jax.report.training import NAMES
from biomatrix_jax.report.view3d import script

MOLECULES = 30  # pictures of each kind, at most
VIEWS = 3
CONFORMERS = 12  # pictures after those that can be turned


def headlines(judged: Mapping[str, Judged]) -> list[Headline]:
    """Of the molecules written as SELFIES."""
    if "selfies" not in judged:
        return []
    tally = judged["selfies"].tally
    return [
        Headline(percent(tally.valid, tally.generated), "valid", f"of {tally.generated:,} SELFIES"),
        Headline(percent(tally.distinct, tally.valid), "unique", f"of {tally.valid:,} valid"),
        Headline(percent(tally.novel, tally.distinct), "novel", f"of {tally.distinct:,} distinct"),
    ]


def molecules(judged: Mapping[str, Judged], known: Collection[str]) -> Section:
    """Tallies of every kind, and formulas of the first distinct molecules written as SELFIES."""
    columns = ("written as", "generated", "valid", "distinct", "new", "why not valid")
    rows = []
    for modality, one in judged.items():
        t = one.tally
        reasons = Counter(verdict.reason for verdict in one.verdicts if verdict.smiles is None)
        rows.append(
            (
                NAMES[modality],
                f"{t.generated:,}",
                f"{t.valid:,} ({percent(t.valid, t.generated)})",
                f"{t.distinct:,} ({percent(t.distinct, t.valid)})",
                f"{t.novel:,} ({percent(t.novel, t.distinct)})",
                ", ".join(f"{reason} ({n:,})" for reason, n in reasons.most_common()),
            )
        )
    table = Table(
        columns,
        rows,
        numeric=columns[1:5],
        caption="Valid: one closed segment that RDKit accepts as a molecule, of all generated. "
        "Distinct: different canonical SMILES, of the valid. New: not among the "
        f"{len(known):,} molecules of the training data, of the distinct.",
    )
    lead = "Each began as nothing but the start token of its segment."
    firsts = first_of_each(judged["selfies"].verdicts)[:MOLECULES] if "selfies" in judged else []
    if not firsts:
        return Section("Generated molecules", [table], lead=lead)
    tiles = [
        Tile(draw_flat(verdict.mol), verdict.smiles, mark=_mark(verdict.smiles, known))
        for verdict in firsts
    ]
    gallery = Gallery(
        tiles,
        caption=f"The first {len(tiles)} distinct molecules written as SELFIES, in the order they "
        "were generated; none left out.",
    )
    return Section("Generated molecules", [table, gallery], lead=lead)


def conformers(judged: Judged, known: Collection[str]) -> Section:
    """The first distinct ones of those written with structure codes; there is at least one."""
    firsts = first_of_each(judged.verdicts)
    views = [_view(i, verdict, known) for i, verdict in enumerate(firsts[:VIEWS], start=1)]
    tiles = [
        Tile(draw_conformer(verdict.mol), verdict.smiles, mark=_mark(verdict.smiles, known))
        for verdict in firsts[VIEWS : VIEWS + CONFORMERS]
    ]
    return Section(
        "Molecules in three dimensions",
        [Views(views), *([Gallery(tiles)] if tiles else [])],
        lead="Written as SELFIES symbols with structure codes, and rebuilt from the codes, all of "
        "them made to agree at once, without a force field. The first distinct ones, in the order "
        "they were generated. Drag to turn the large ones; the wheel zooms while Ctrl is down.",
    )


def _view(number: int, verdict: Verdict, known: Collection[str]) -> View:
    drawn = draw_molecule(verdict.mol)
    name = f"molecule{number}"
    return View(
        name,
        drawn.png,
        script(drawn.view, name),
        caption=verdict.smiles,
        mark=_mark(verdict.smiles, known),
        detail=f"{verdict.mol.GetNumAtoms()} atoms, structures/{name}.sdf",
    )


def _mark(smiles: str, known: Collection[str]) -> str:
    return "" if smiles in known else "new"
