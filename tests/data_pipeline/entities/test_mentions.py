"""Which annotations become mentions."""

import pytest

from data_pipeline.entities.bern2 import Annotation
from data_pipeline.entities.mentions import mentions, resolved
from data_pipeline.entities.store import Store
from data_pipeline.entities.table import Entity, EntityTable
from data_pipeline.records import Mention

TABLE = EntityTable(
    Store.in_memory(
        [
            ("a:1", '["molecule", "CCO", []]'),
            ("a:2", '["molecule", "OCC", []]'),
            ("p:1", '["protein", "MKV", []]'),
        ]
    )
)


def run(*annotations, least=0.0):
    lost = []
    found = list(resolved(annotations, TABLE, least, lost.append))
    return [(start, end) for start, end, _ in found], lost


def test_of_overlapping_ones_the_longest_stays_then_the_first_then_the_surest():
    assert run(
        Annotation(30, 33, ("a:1",)),
        Annotation(0, 4, ("a:1",)),
        Annotation(2, 10, ("p:1",)),
        Annotation(10, 14, ("a:1",)),
        Annotation(12, 16, ("a:1",)),
        Annotation(16, 18, ("a:1",)),
        Annotation(31, 32, ("a:1",)),
    ) == ([(2, 10), (10, 14), (16, 18), (30, 33)], ["overlaps a longer mention"] * 3)
    found = resolved(
        [Annotation(0, 3, ("a:1",), 0.4), Annotation(0, 3, ("p:1",), 0.6)], TABLE, 0.0, [].append
    )
    assert list(found) == [(0, 3, Entity("protein", "MKV"))]


def test_an_unknown_one_hides_what_it_contains():
    unknown = Annotation(0, 10, ("a:9",))
    lost_twice = ["overlaps a longer mention", "unknown identifier"]
    assert run(unknown, Annotation(0, 4, ("a:1",))) == ([], lost_twice)


def test_improbable_ones_are_not_there():
    sure, unsure = Annotation(0, 4, ("a:1",), 0.9), Annotation(0, 9, ("a:1",), 0.89)
    assert run(sure, unsure, least=0.9) == ([(0, 4)], [])
    assert run(sure, unsure) == ([(0, 9)], ["overlaps a longer mention"])


@pytest.mark.parametrize("first_only", [True, False])
def test_an_entity_is_the_same_under_any_identifier(first_only):
    ones = [Annotation(0, 2, ("a:1",)), Annotation(3, 5, ("p:1",)), Annotation(6, 8, ("a:2",))]
    made = mentions(resolved(ones, TABLE, 0.0, pytest.fail), first_only)
    assert made[:2] == (Mention(0, 2, "molecule", "CCO"), Mention(3, 5, "protein", "MKV"))
    assert made[2:] == (() if first_only else (Mention(6, 8, "molecule", "CCO"),))
