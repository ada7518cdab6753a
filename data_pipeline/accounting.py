"""What became of each source's records: for the manifest, and in lines for people."""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence

from biomatrix_jax.data.manifest import InputsEntry, SourceEntry
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import MODALITIES
from data_pipeline.documents import DocumentsAccount
from data_pipeline.recipe import SourceRecipe


def source_entry(
    source: SourceRecipe, accounts: Sequence[DocumentsAccount], beside: tuple[InputsEntry, ...]
) -> SourceEntry:
    """What became of a source's records, its rows aside.

    Raises:
      BadInput: there is no document; says why.
    """
    first = {}
    for account in reversed(accounts):
        first |= account.examples
    entry = SourceEntry(
        name=source.name,
        inputs=tuple(account.inputs for account in accounts),
        records=sum(account.records for account in accounts),
        used=sum(account.used for account in accounts),
        dropped=_added(account.dropped for account in accounts),
        lost=_added(account.lost for account in accounts),
        instances=sum(account.instances for account in accounts),
        rejected=_added(account.rejected for account in accounts),
        examples=dict(sorted(first.items())),
        documents=sum(account.documents for account in accounts),
        cut=0,
        tokens={name: sum(account.tokens[name] for account in accounts) for name in MODALITIES},
        rows=0,
        beside=beside,
        absent_fields=_absent(source, accounts),
    )
    if not entry.documents:
        raise BadInput(f"source {source.name}: nothing to pack ({told(entry)})")
    return entry


def told(source: SourceEntry) -> str:
    """A line for people: what became of a source's records."""
    parts = [
        f"{source.name}: {source.records:,} records -> {source.documents:,} documents, "
        f"{source.total_tokens:,} tokens, {source.rows:,} rows"
    ]
    for word, counts in (
        ("dropped", source.dropped),
        ("lost", source.lost),
        ("rejected", source.rejected),
    ):
        parts += [
            f"{number:,} {word}: {reason} (first {source.examples[reason]})"
            for reason, number in counts.items()
        ]
    return "; ".join(parts)


def told_absent(source: SourceRecipe, accounts: Sequence[DocumentsAccount]) -> str:
    """A line for people: which fields a source's composition names in vain; empty where none.

    A field of which nothing is heard may be a slip of the pen.
    """
    if not (absent := _absent(source, accounts)):
        return ""
    met = sorted(_fields(accounts))
    named = []
    for name in absent:
        near = difflib.get_close_matches(name, met, n=1)
        named.append(f"{name!r}" + (f" (is it {near[0]!r}?)" if near else ""))
    return (
        f"source {source.name}: its composition names fields that no composite had: "
        f"{', '.join(named)}; those it had: {', '.join(map(repr, met)) or 'none'}"
    )


def _absent(source: SourceRecipe, accounts: Sequence[DocumentsAccount]) -> tuple[str, ...]:
    return tuple(sorted(source.composition.fields.keys() - _fields(accounts)))


def _fields(accounts: Sequence[DocumentsAccount]) -> set[str]:
    return {name for account in accounts for name in account.fields}


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))
