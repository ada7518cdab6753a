import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomatrix_jax.data.rows import encode_row
from data_pipeline.pack import Document, cut, pack, plan

lengths_and_row = st.integers(1, 40).flatmap(
    lambda row: st.tuples(st.lists(st.integers(1, row), max_size=60), st.just(row))
)


def plain_best_fit(lengths, row_length):
    """Best fit, longest first, looking at every open row for every document."""
    rows, free = [], []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fits = [r for r in range(len(rows)) if free[r] >= lengths[index]]
        if not fits:
            rows.append([])
            free.append(row_length)
            fits = [len(rows) - 1]
        best = min(fits, key=lambda r: free[r])
        rows[best].append(index)
        free[best] -= lengths[index]
    return rows, sorted(free)


def document(length, seed=0):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 1000, length).astype(np.int32)
    return Document(tokens, rng.integers(0, 6, length).astype(np.uint8))


@given(lengths_and_row)
def test_every_document_lies_in_one_row_that_has_room(case):
    lengths, row_length = case
    rows = plan(lengths, row_length)
    assert sorted(itertools.chain(*rows)) == list(range(len(lengths)))
    assert all(rows)
    assert all(sum(lengths[i] for i in row) <= row_length for row in rows)


@given(lengths_and_row)
def test_rows_are_as_full_as_with_plain_best_fit_decreasing(case):
    """Rows of equal room may be chosen differently; what is left free in each may not."""
    lengths, row_length = case
    rows = plan(lengths, row_length)
    free = sorted(row_length - sum(lengths[i] for i in row) for row in rows)
    assert free == plain_best_fit(lengths, row_length)[1]


def test_each_document_goes_to_the_fullest_row_that_fits():
    # 6 and 5 open rows with 4 and 5 free; 4 fits both and takes the tighter; 3 the other.
    assert plan([3, 4, 5, 6], 10) == [[3, 1], [2, 0]]


def test_documents_of_molecule_lengths_fill_their_rows():
    lengths = np.random.default_rng(0).integers(20, 300, 20_000)
    rows = plan(lengths, 8192)
    assert lengths.sum() / (len(rows) * 8192) > 0.995


@pytest.mark.parametrize("lengths", [[3, 0], [9]])
def test_lengths_that_cannot_be_packed(lengths):
    with pytest.raises(ValueError, match="from 1 to 8"):
        plan(lengths, 8)


@given(st.lists(st.integers(1, 12), max_size=30), st.integers(1, 100))
def test_packed_rows_hold_each_document_whole(lengths, window):
    documents = [document(length, seed) for seed, length in enumerate(lengths)]
    packed = []
    for row in pack(documents, 12, source=7, window_tokens=window):
        assert row.tokens.shape == row.modality.shape == (12,)
        assert row.source.tolist() == [7] * len(row.lengths)
        stops = np.cumsum(row.lengths)
        assert not row.tokens[stops[-1] :].any()
        packed += [
            (row.tokens[a:b].tolist(), row.modality[a:b].tolist())
            for a, b in zip(stops - row.lengths, stops, strict=True)
        ]
    assert sorted(packed) == sorted((d.tokens.tolist(), d.modality.tolist()) for d in documents)


def test_a_window_is_planned_alone():
    documents = [document(length, seed) for seed, length in enumerate([6, 6, 4, 4])]
    together = list(pack(documents, 10, 0, window_tokens=1000))
    apart = list(pack(documents, 10, 0, window_tokens=12))
    assert [row.lengths.tolist() for row in together] == [[6, 4], [6, 4]]
    assert [row.lengths.tolist() for row in apart] == [[6], [6], [4, 4]]


def test_packing_twice_gives_the_same_bytes():
    documents = [document(1 + seed % 50, seed) for seed in range(200)]
    first, second = (
        [encode_row(row) for row in pack(documents, 64, 0, window_tokens=1000)] for _ in range(2)
    )
    assert first == second


@given(st.integers(1, 60), st.sets(st.integers(1, 60)), st.integers(2, 20))
def test_the_parts_of_a_cut_document_join_to_it(length, ends, row_length):
    whole = document(length)._replace(segment_ends=sorted(end for end in ends if end <= length))
    parts = cut(whole, row_length)
    assert all(1 <= len(part.tokens) <= row_length for part in parts)
    assert all(len(part.tokens) > row_length // 2 for part in parts[:-1])
    np.testing.assert_array_equal(np.concatenate([p.tokens for p in parts]), whole.tokens)
    np.testing.assert_array_equal(np.concatenate([p.modality for p in parts]), whole.modality)


@pytest.mark.parametrize(
    ("ends", "parts"),
    [
        ([], [10, 10, 5]),  # nowhere better than the row's length
        ([7, 9, 12], [9, 10, 6]),  # the last end within the row
        ([5], [10, 10, 5]),  # an end in the first half would waste the row
        ([10, 20], [10, 10, 5]),  # an end exactly at the row's length
        ([8, 16, 24], [8, 8, 9]),  # counted from each part's own start; 24 is not needed
    ],
)
def test_where_a_long_document_is_cut(ends, parts):
    assert [len(p.tokens) for p in cut(document(25)._replace(segment_ends=ends), 10)] == parts


def test_no_part_is_a_single_token_which_would_never_be_predicted():
    assert [len(p.tokens) for p in cut(document(11)._replace(segment_ends=[10]), 10)] == [9, 2]
    assert [len(p.tokens) for p in cut(document(11)._replace(segment_ends=[7, 10]), 10)] == [7, 4]


def test_a_document_that_fits_is_not_cut():
    whole = document(10)._replace(segment_ends=[6])
    (part,) = cut(whole, 10)
    np.testing.assert_array_equal(part.tokens, whole.tokens)
