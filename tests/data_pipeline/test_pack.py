import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomatrix_jax.data.rows import encode_row
from data_pipeline.pack import Documents, cut, pack, pieces_of, plan

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


def documents(lengths, end_tokens=()):
    """Documents of such lengths; those of `end_tokens` stand nowhere but where asked for."""
    rng = np.random.default_rng(0)
    total = int(np.sum(lengths))
    lengths = np.array(lengths, np.int64)
    return Documents(
        rng.integers(1, 1000, total).astype(np.int32),
        np.repeat(np.arange(len(lengths)) % 6, lengths).astype(np.uint8),
        np.cumsum(lengths) - lengths,
        lengths,
        np.full(len(lengths), 7, np.uint16),
    )


def content(found):
    """(tokens, modality) of each document."""
    return [
        (found.tokens[a : a + n].tolist(), found.modality[a : a + n].tolist())
        for a, n in zip(found.starts.tolist(), found.lengths.tolist(), strict=True)
    ]


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


@given(st.lists(st.integers(1, 12), max_size=30))
def test_packed_rows_hold_each_document_whole(lengths):
    given_documents = documents(lengths)
    found = []
    for row in pack(given_documents, 12):
        assert row.tokens.shape == row.modality.shape == (12,)
        assert row.source.tolist() == [7] * len(row.lengths)
        stops = np.cumsum(row.lengths).tolist()
        for start, stop in itertools.pairwise([0, *stops]):
            found.append((row.tokens[start:stop].tolist(), row.modality[start:stop].tolist()))
        assert not row.tokens[stops[-1] :].any()
        encode_row(row)
    assert sorted(found) == sorted(content(given_documents))


@given(lengths_and_row)
def test_there_are_never_more_rows_than_twice_the_tokens_would_fill(case):
    """What decides how many documents share a shard."""
    lengths, row_length = case
    assert len(plan(lengths, row_length)) <= 2 * sum(lengths) / row_length + 1


def test_the_same_documents_give_the_same_rows():
    lengths = np.random.default_rng(1).integers(1, 30, 200)
    first, second = ([encode_row(row) for row in pack(documents(lengths), 32)] for _ in range(2))
    assert first == second


@given(st.integers(1, 60), st.sets(st.integers(1, 60)), st.integers(2, 20))
def test_the_pieces_of_a_document_add_up(length, ends, row_length):
    pieces = pieces_of(length, sorted(end for end in ends if end <= length), row_length)
    assert sum(pieces) == length
    assert all(1 <= piece <= row_length for piece in pieces)
    assert all(piece > row_length // 2 for piece in pieces[:-1])


@pytest.mark.parametrize(
    ("ends", "pieces"),
    [
        ([], [10, 10, 5]),  # nowhere better than the row's length
        ([7, 9, 12], [9, 10, 6]),  # the last end within the row
        ([5], [10, 10, 5]),  # an end in the first half would waste the row
        ([10, 20], [10, 10, 5]),  # an end exactly at the row's length
        ([8, 16, 24], [8, 8, 9]),  # counted from each piece's own start; 24 is not needed
    ],
)
def test_where_a_long_document_is_cut(ends, pieces):
    assert pieces_of(25, ends, 10) == pieces


def test_no_piece_is_a_single_token_which_would_never_be_predicted():
    assert pieces_of(11, [10], 10) == [9, 2]
    assert pieces_of(11, [7, 10], 10) == [7, 4]


def test_long_documents_are_cut_where_their_segments_end_and_the_others_stay():
    whole = documents([4, 25, 10, 12])
    whole.tokens[4 + 7] = 5000  # ends a segment of the second, after 8 tokens
    whole.modality[39 + 9 :] = 5  # of the last, after 9 tokens
    found, count = cut(whole, 10, np.array([5000]))
    assert count == 2
    assert found.lengths.tolist() == [4, 8, 10, 7, 10, 9, 3]
    assert found.source.tolist() == [7] * 7
    pieces = content(found)
    short, long, fits, last = content(whole)
    assert (pieces[0], pieces[4]) == (short, fits)
    assert pieces[1][0] + pieces[2][0] + pieces[3][0] == long[0]
    assert pieces[1][1] + pieces[2][1] + pieces[3][1] == long[1]
    assert pieces[5][0] + pieces[6][0] == last[0]


def test_documents_that_fit_are_not_cut():
    whole = documents([10, 3])
    found, count = cut(whole, 10, np.array([5]))
    assert found is whole
    assert count == 0
