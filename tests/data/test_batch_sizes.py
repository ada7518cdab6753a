import json

import pytest

from biomatrix_jax.data.batch_sizes import BatchSizes


@pytest.mark.parametrize(
    ("since", "first_rows"),
    [
        (((0, 8),), [0, 8, 16, 24, 32, 40, 48]),
        (((0, 8), (3, 12)), [0, 8, 16, 24, 36, 48, 60]),
        (((0, 8), (1, 2), (4, 100)), [0, 8, 10, 12, 14, 114, 214]),
    ],
)
def test_rows_before_a_step(since, first_rows):
    sizes = BatchSizes(since)
    assert [sizes.first_row(step) for step in range(7)] == first_rows


def test_going_on_from_a_checkpoint():
    start = BatchSizes(()).then(0, 8)
    assert start.since == ((0, 8),)
    assert start.then(100, 8) == start
    changed = start.then(100, 12)
    assert changed.since == ((0, 8), (100, 12))
    # No step was made with 12: the change is another one.
    assert changed.then(100, 16).since == ((0, 8), (100, 16))
    assert changed.then(100, 8) == start
    assert BatchSizes.of(json.loads(json.dumps(changed.since))) == changed
