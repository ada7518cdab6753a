"""What a blockwise kernel may leave out, against every pair of tokens."""

import jax.numpy as jnp
import numpy as np
import pytest

from biomatrix_jax.model.attention import Rows, attention_mask, blocks
from tests.model.attention.packed import rows_of

Q, KV = 8, 16
DOCUMENTS = [[40, 24, 1, 1, 30], [96], [16] * 6, [3] * 32]


def by_pairs(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    mask = np.asarray(attention_mask(*rows))
    b, t, s = mask.shape
    mask = mask.reshape(b, t // Q, Q, s // KV, KV)
    return mask.any((2, 4)), mask.all((2, 4))


def test_full_rows_are_told_exactly():
    rows = rows_of(DOCUMENTS, 96)
    some, whole = blocks.visible(rows, Q, KV)
    expected = by_pairs(rows)
    np.testing.assert_array_equal(some, expected[0])
    np.testing.assert_array_equal(whole, expected[1])
    assert expected[1].sum() > 30  # so that the test says something


@pytest.mark.parametrize("shuffled", [False, True])
def test_nothing_seen_is_left_out(shuffled):
    rows = rows_of([[50, 20], [1], [], [96]], 96)
    if shuffled:
        order = np.random.default_rng(0).permutation(96)
        rows = Rows(*(x[:, order] for x in rows))
    some, whole = blocks.visible(rows, Q, KV)
    expected = by_pairs(rows)
    assert not (expected[0] & ~np.asarray(some)).any()
    np.testing.assert_array_equal(whole, expected[1])


def test_spans_hold_what_is_needed_and_in_the_middle_only_what_is_whole():
    rows = rows_of([*DOCUMENTS, [50, 20], []], 96)
    mask = by_pairs(rows)
    of_queries, of_keys = map(np.asarray, blocks.spans(rows, Q, KV))
    for spans, (some, whole) in (
        (of_queries, mask),
        (of_keys, [x.swapaxes(1, 2) for x in mask]),
    ):
        index = np.arange(some.shape[-1])
        first, middle, after, end = (spans[..., i, None] for i in range(4))
        assert (spans[..., 1:] >= spans[..., :-1]).all()
        assert not (some & ((index < first) | (index >= end))).any()
        np.testing.assert_array_equal(whole, (index >= middle) & (index < after))


def test_whole_blocks_in_two_pieces_are_masked_as_the_others_are():
    segments = jnp.ones((1, 48), jnp.int32)
    positions = jnp.arange(48)[None]
    keys = np.concatenate([np.arange(16), np.arange(32, 48), np.arange(16, 32)])
    rows = Rows(segments[:, :8], positions[:, 32:40], segments, positions[:, keys])
    spans = blocks.spans(rows, Q, KV)[0]  # the first and the last are whole, the middle is not
    assert spans.tolist() == [[[0, 3, 3, 3]]]


def test_filling_sees_nothing_and_is_not_seen():
    rows = rows_of([[10, 5], []], 20)
    mask = np.asarray(attention_mask(*blocks.padded(rows, 24, 32)))
    assert mask.shape == (2, 24, 32)
    np.testing.assert_array_equal(mask[:, :20, :20], attention_mask(*rows))
    assert not mask[:, 20:].any()
    assert not mask[:, :, 20:].any()
