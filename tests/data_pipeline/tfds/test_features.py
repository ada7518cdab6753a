import numpy as np
import pytest

from biomatrix_jax.data.rows import Row, encode_row
from biomatrix_jax.errors import BadInput
from data_pipeline.tfds.features import PackedRows, example, row_features

ROW = Row(
    tokens=np.array([7, 8, 9, 300, 70_000, 0], np.int32),
    modality=np.array([0, 0, 1, 5, 4, 0], np.uint8),
    lengths=np.array([2, 3]),
    source=np.array([3, 4]),
)
EXPECTED = {
    "tokens": np.array([7, 8, 9, 300, 70_000, 0], np.int32),
    "segment_ids": np.array([1, 1, 2, 2, 2, 0], np.int32),
    "modality": np.array([0, 0, 1, 5, 4, 0], np.uint8),
    "source": np.array([3, 3, 4, 4, 4, 0], np.int32),
}


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array)


def test_documents_are_spread_over_the_tokens():
    same(example(ROW), EXPECTED)


def test_a_row_without_padding():
    full = Row(ROW.tokens, ROW.modality, np.array([1, 5]), np.array([3, 4]))
    assert example(full)["segment_ids"].tolist() == [1, 2, 2, 2, 2, 2]
    assert example(full)["source"].tolist() == [3, 4, 4, 4, 4, 4]


def test_a_record_is_read_without_tensorflow():
    features = PackedRows(row_features(6))
    same(features.deserialize_example_np(encode_row(ROW)), EXPECTED)
    assert features.np_dtype == {name: array.dtype for name, array in EXPECTED.items()}
    assert features.shape == dict.fromkeys(EXPECTED, (6,))


def test_a_record_of_another_length_is_refused():
    with pytest.raises(BadInput, match="6 tokens where 7 were expected"):
        PackedRows(row_features(7)).deserialize_example_np(encode_row(ROW))


def test_features_say_which_modality_a_number_is():
    assert "3 molecule_3d" in row_features(6)["modality"].doc.desc
