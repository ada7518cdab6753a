"""What a run drew of each source and modality, beside what its mixture asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

from biomatrix_jax.report.blocks import Section, Table
from biomatrix_jax.report.numbers import percent

Pair = Sequence[float]  # tokens drawn, tokens asked for
COLUMNS = ("tokens", "drawn", "asked", "drawn lately", "asked lately")


def mixture(lines: Sequence[Mapping[str, Any]], lately: int, names: Mapping[str, str]) -> Section:
    """Tables of the sources and the modalities.

    Args:
      lines: of a run's `metrics.jsonl`, at least one. They count up over the whole run, so that the
        last one and one before it say what lies between.
      lately: how many of the last ones are told apart.
      names: of the modalities, for people.
    """
    last, before = lines[-1], lines[-lately - 1] if lately < len(lines) else {}
    sources, modalities = (
        [(now, before.get(key, {}).get(name, (0, 0)), name) for name, now in last[key].items()]
        for key in ("drawn_by_source", "drawn_by_modality")
    )
    modalities = [(now, then, names[modality]) for now, then, modality in modalities]
    return Section(
        "Mixture",
        [
            _table("source", sources),
            _table(
                "modality",
                modalities,
                f"Lately: in the last {lately:,} step{'s' * (lately > 1)}.",
            ),
        ],
        lead="The part of all tokens, padding not counted, that came from each source and "
        "modality, and the part that the mixture's weights ask for.",
    )


def _table(what: str, found: Sequence[tuple[Pair, Pair, str]], caption: str = "") -> Table:
    """Rows from (now, then, name)."""
    parts = [[*now, *(a - b for a, b in zip(now, then, strict=True))] for now, then, _ in found]
    wholes = [sum(column) for column in zip(*parts, strict=True)]
    rows = [
        (name, f"{now[0]:,}", *map(percent, part, wholes))
        for (now, _, name), part in zip(found, parts, strict=True)
    ]
    return Table((what, *COLUMNS), rows, numeric=COLUMNS, caption=caption)
