"""random_rows: rows with everything in them that packing has."""

import numpy as np
import pytest

from biomatrix_jax.convert.compare.random_rows import DOCUMENTS, random_rows
from biomatrix_jax.errors import BadInput

SIZES = [(2, 16, 16), (2, 256, 40_960), (3, 100, 128), (5, 64, 64)]


@pytest.mark.parametrize(("count", "length", "max_positions"), SIZES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_documents_then_padding(count, length, max_positions, seed):
    tokens, segment_ids, positions = random_rows(count, length, seed, 50, max_positions)
    assert tokens.shape == segment_ids.shape == positions.shape == (count, length)
    assert {array.dtype for array in (tokens, segment_ids, positions)} == {np.dtype(np.int32)}
    assert tokens.min() >= 0
    assert tokens.max() < 50
    assert positions.max() < max_positions
    for row in range(count):
        used = int((segment_ids[row] > 0).sum())
        assert 0 < length - used <= length // 8
        assert (segment_ids[row, used:] == 0).all()
        assert set(segment_ids[row, :used]) == set(range(1, DOCUMENTS + 1))
        assert (np.diff(segment_ids[row, :used]) >= 0).all()
        for document in range(1, DOCUMENTS + 1):
            inside = positions[row, segment_ids[row] == document]
            if row < count - 1:
                assert (inside == np.arange(len(inside))).all()
            else:
                assert (np.diff(inside) > 0).all()
                assert inside[-1] == max_positions - 1


def test_the_last_row_has_gaps():
    positions = random_rows(2, 256, 0, 50, 40_960).positions[1]
    assert np.diff(positions).max() > 1000
    assert len(set(positions)) > 200


def test_the_seed_decides():
    one, same, other = (random_rows(2, 64, seed, 1000, 64) for seed in (7, 7, 8))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert (one.tokens != other.tokens).any()
    assert (one.segment_ids != other.segment_ids).any()


@pytest.mark.parametrize(
    ("count", "length", "said"), [(1, 64, "rows"), (2, 15, "16 or more"), (2, 65, "64 positions")]
)
def test_rows_that_show_less_are_refused(count, length, said):
    with pytest.raises(BadInput, match=said):
        random_rows(count, length, 0, 100, 64)
