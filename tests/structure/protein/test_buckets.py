import numpy as np
import pytest

from biomatrix_jax.structure.protein.buckets import LENGTHS, batches, padded


@pytest.mark.parametrize(
    ("length", "longest", "expected"),
    [
        (1, 1280, 64),
        (64, 1280, 64),
        (65, 1280, 128),
        (1280, 1280, 1280),
        (128, 160, 128),
        (129, 160, 160),
        (30, 40, 40),
        (1300, 2000, 2000),
    ],
)
def test_padded(length, longest, expected):
    assert padded(length, longest) == expected


def test_every_chain_is_in_one_batch_that_holds_it():
    lengths = np.random.default_rng(0).integers(1, 1281, 500).tolist()
    found = batches(lengths, 1280, 2048)
    assert sorted(i for batch in found for i in batch.members) == list(range(500))
    for batch in found:
        assert len(batch.members) <= batch.rows == max(1, 2048 // batch.length)
        assert all(padded(lengths[i], 1280) == batch.length for i in batch.members)


def test_few_shapes():
    """One for each length: nothing else about the chains decides which programs there are."""
    found = batches(range(1, 1281), 1280, 4096)
    assert {(batch.length, batch.rows) for batch in found} == {(n, 4096 // n) for n in LENGTHS}
    assert {(batch.length, batch.rows) for batch in batches([70, 300], 1280, 4096)} == {
        (128, 32),
        (384, 10),
    }


def test_members_keep_their_order():
    assert [batch.members for batch in batches([50, 70, 60, 40], 160, 130)] == [[0, 2], [3], [1]]
    assert batches([], 160, 130) == []
