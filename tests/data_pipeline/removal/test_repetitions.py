"""Records that repeat one: by what they say, or, saying nothing more, by their subject."""

import numpy as np
import pytest

from data_pipeline.removal.repetitions import KEYS, repetitions
from data_pipeline.removal.tables import Table


def by_the_rule(rows: np.ndarray) -> list[tuple[int, int]]:
    had, said = {}, {}
    found = []
    for number, row in enumerate(rows.tolist()):
        subject, what = row
        had.setdefault(subject, number)
        said.setdefault(what, number)
        first = had[subject] if what == subject else said[what]
        if first != number:
            found.append((number, first))
    return found


@pytest.mark.parametrize("memory", [0, 20_000, 80_000, 2**24])
def test_what_is_found_does_not_depend_on_memory(memory, tmp_path):
    rng = np.random.default_rng(0)
    subjects = rng.integers(0, 256, (400, 16), np.uint8)
    more = rng.integers(0, 256, (400, 3, 16), np.uint8)  # what else can be said of each
    subjects[:, -1] = 0
    which = rng.integers(0, 400, 1500)
    what = rng.integers(-2, 3, 1500)
    keys = np.empty((1500, 2, 16), np.uint8)
    keys[:, 0] = subjects[which]
    keys[:, 1] = np.where(what[:, None] < 0, keys[:, 0], more[which, what])
    rows = keys.reshape(1500, 32).view(KEYS)[:, 0]
    expected = by_the_rule(rows)
    assert 500 < len(expected) < 1100
    paths = [tmp_path / "a", tmp_path / "b"]
    rows[:700].tofile(paths[0])
    rows[700:].tofile(paths[1])
    blocks = repetitions(Table(paths, KEYS), tmp_path, memory)
    assert np.concatenate(list(blocks)).tolist() == expected
    assert sorted(tmp_path.iterdir()) == paths
