"""What is found in a text -> the mentions whose strings are inserted."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from data_pipeline.entities.bern2 import Annotation
from data_pipeline.entities.table import Entity, EntityTable, Unresolved
from data_pipeline.records import Mention

Lose = Callable[[str], None]
Found = tuple[int, int, Entity]


def resolved(
    annotations: Iterable[Annotation], table: EntityTable, least_probability: float, lose: Lose
) -> Iterator[Found]:
    """Those annotations that lead to an entity, ascending, without overlaps.

    Of those that overlap the longest stays, then the first, whether the table knows it or not: the
    "glucose" of an unknown "glucose 6-phosphate" is not glucose.

    Args:
      least_probability: less probable ones are as if they were not there.
      lose: told, for each that leads nowhere, the reason.
    """
    probable = [one for one in annotations if one.probability >= least_probability]
    for one in _apart(probable, lose):
        try:
            yield one.start, one.end, table.resolve(one.identifiers)
        except Unresolved as error:
            lose(str(error))


def mentions(found: Iterable[Found], first_only: bool) -> tuple[Mention, ...]:
    """The mentions of a document, of each entity only the first if `first_only`."""
    seen: set[Entity] = set()
    made = []
    for start, end, entity in found:
        if not (first_only and entity in seen):
            seen.add(entity)
            made.append(Mention(start, end, entity.kind, entity.string))
    return tuple(made)


def _apart(annotations: list[Annotation], lose: Lose) -> list[Annotation]:
    ranked = sorted(annotations, key=lambda a: (a.start - a.end, a.start, -a.probability))
    kept: list[Annotation] = []
    for one in ranked:
        place = bisect_left(kept, one.start, key=lambda a: a.start)
        before = place and kept[place - 1].end > one.start
        after = place < len(kept) and kept[place].start < one.end
        if before or after:
            lose("overlaps a longer mention")
        else:
            kept.insert(place, one)
    return kept
