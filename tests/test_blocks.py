import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomatrix_jax.blocks import block_shape, blocks


@pytest.mark.parametrize(
    ("shape", "limit", "expected"),
    [
        ((100,), 400, (100,)),
        ((100,), 100, (25,)),
        ((10, 4), 64, (4, 4)),  # 4 rows fit, 10 rows make 3 runs of up to 4
        ((9, 4), 64, (3, 4)),  # 3 equal runs rather than 4 + 4 + 1
        ((10, 4), 8, (1, 2)),  # a row that does not fit is cut itself
        ((3, 5, 2), 1000, (1, 5, 2)),  # layers never share a piece
        ((3, 5, 2), 16, (1, 2, 2)),
        ((1, 6, 4, 8), 64, (1, 1, 2, 8)),
        ((28, 6144, 2048), 8 << 20, (1, 1024, 2048)),
        ((7,), 1, (1,)),  # an element is never cut
    ],
)
def test_pieces_of_four_byte_elements(shape, limit, expected):
    assert block_shape(shape, 4, limit) == expected


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 500))
def test_pieces_follow_each_other_in_c_order_and_cover_the_array(shape, limit):
    array = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    pieces = [array[index] for index in blocks(tuple(shape), 4, limit)]
    np.testing.assert_array_equal(np.concatenate([p.ravel() for p in pieces]), array.ravel())
    assert all(p.nbytes <= max(limit, 4) for p in pieces if len(shape) <= 2)
    assert all(p.flags.c_contiguous for p in pieces)
    if len(shape) > 2:
        assert all(len(p) == 1 for p in pieces)
