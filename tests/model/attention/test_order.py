import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.model.attention.order import balanced_order, in_row_order


def test_a_device_has_an_early_and_a_late_chunk():
    assert balanced_order(12, 3).tolist() == [0, 1, 10, 11, 2, 3, 8, 9, 4, 5, 6, 7]
    assert balanced_order(12, 1) is None


@pytest.mark.parametrize("context", [2, 4, 8])
def test_causal_work_is_the_same_on_every_device(context):
    order = balanced_order(64, context)
    seen = (order + 1).reshape(context, -1).sum(1)  # keys that the queries of a device see
    assert set(seen) == {64 * 65 // 2 // context}


@pytest.mark.parametrize("context", [2, 8])
def test_the_rows_own_order_comes_back(context):
    row = np.arange(2 * 64 * 3).reshape(2, 64, 3)
    assert np.array_equal(in_row_order(row[:, balanced_order(64, context)], context), row)


def test_a_row_that_does_not_divide_is_refused():
    with pytest.raises(BadInput, match=r"row of 8200 tokens .* multiple of 16, .* context=8"):
        balanced_order(8200, 8)
