import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomatrix_jax.data import rows as R
from biomatrix_jax.errors import BadInput

WEIGHTS = np.ones(6, np.float32)


def row(lengths, row_length, seed=0):
    rng = np.random.default_rng(seed)
    used = sum(lengths)
    tokens, modality = np.zeros(row_length, np.int32), np.zeros(row_length, np.uint8)
    tokens[:used] = rng.integers(1, 1 << 18, used)
    modality[:used] = rng.integers(0, 6, used)
    return R.Row(tokens, modality, np.array(lengths, int), rng.integers(0, 9, len(lengths)))


def plain_batch(row):
    """What `collate` should give for a row, token by token in plain Python."""
    out = {k: [] for k in ("targets", "segment_ids", "positions", "loss", "modality", "source")}
    start = 0
    for number, length in enumerate(row.lengths, 1):
        for place in range(length):
            at, last = start + place, place == length - 1
            out["targets"].append(0 if last else row.tokens[at + 1])
            out["modality"].append(0 if last else row.modality[at + 1])
            out["loss"].append(0.0 if last else 1.0)
            out["segment_ids"].append(number)
            out["positions"].append(place)
            out["source"].append(row.source[number - 1])
        start += length
    padding = len(row.tokens) - start
    for key in ("targets", "modality", "loss", "segment_ids", "source"):
        out[key] += [0] * padding
    out["positions"] += range(padding)
    return out


@st.composite
def packed_rows(draw):
    lengths = draw(st.lists(st.integers(1, 9), max_size=8))
    return row(
        lengths, sum(lengths) + draw(st.integers(0, 5)) + (not lengths), draw(st.integers(0))
    )


@given(packed_rows())
def test_a_row_survives_its_record(row):
    back = R.decode_row(R.encode_row(row), len(row.tokens))
    for name in R.Row._fields:
        np.testing.assert_array_equal(getattr(back, name), getattr(row, name))
    np.testing.assert_array_equal(back.segment_ids, plain_batch(row)["segment_ids"])


@given(packed_rows())
def test_a_batch_is_what_plain_python_derives(row):
    batch = R.collate([row, row], WEIGHTS)
    want = plain_batch(row)
    for b in range(2):
        np.testing.assert_array_equal(batch["tokens"][b], row.tokens)
        np.testing.assert_array_equal(batch["loss_weights"][b], want["loss"])
        for key in ("targets", "segment_ids", "positions", "modality", "source"):
            np.testing.assert_array_equal(batch[key][b], want[key], err_msg=key)
        used = row.modality[: sum(row.lengths)].tolist()
        assert batch["modality_tokens"][b].tolist() == [used.count(m) for m in range(6)]
    kinds = {key: str(array.dtype) for key, array in batch.items()}
    assert kinds.pop("loss_weights") == "float32"
    assert set(kinds.values()) == {"int32"}


def test_the_record_layout_is_the_documented_one():
    """A reader written from the module's table alone must find the same bytes next year."""
    made = R.Row(np.array([7, 8, 9, 0]), np.array([1, 1, 2, 0]), np.array([2, 1]), np.array([3, 4]))
    want = b"BMXR" + struct.pack("<HHII4i2I2H4B", 1, 0, 4, 2, 7, 8, 9, 0, 2, 1, 3, 4, 1, 1, 2, 0)
    assert R.encode_row(made) == want


def test_decoding_copies_nothing():
    record = R.encode_row(row([3, 4], 8))
    decoded = R.decode_row(record, 8)
    assert not any(array.flags.owndata for array in decoded)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda r: r[:10], "not a packed row"),
        (lambda r: b"XXXX" + r[4:], "not a packed row"),
        (lambda r: r[:4] + b"\x02\x00" + r[6:], "format version 2"),
        (lambda r: r[:-1], "where 68 were expected"),
        (lambda r: r + b"\x00", "where 68 were expected"),
        (lambda r: r[:48] + struct.pack("<I", 6) + r[52:], "do not fit"),
        (lambda r: r[:48] + struct.pack("<I", 0) + r[52:], "do not fit"),
    ],
)
def test_a_damaged_record_is_refused(spoil, says):
    record = R.encode_row(row([3, 4], 8))
    with pytest.raises(BadInput, match=says):
        R.decode_row(spoil(record), 8)


def test_a_row_of_another_length_is_refused():
    with pytest.raises(BadInput, match="row of 8 tokens where 16 were expected"):
        R.decode_row(R.encode_row(row([3], 8)), 16)


@pytest.mark.parametrize("lengths", [[3, 6], [0, 2]])
def test_documents_that_do_not_fit_are_not_encoded(lengths):
    made = row([3, 4], 8)._replace(lengths=np.array(lengths))
    with pytest.raises(ValueError, match="do not fit"):
        R.encode_row(made)


def test_loss_weights_follow_the_modality_of_the_target():
    made = R.Row(np.arange(1, 6), np.array([0, 1, 1, 2, 2]), np.array([4, 1]), np.array([0, 0]))
    weights = np.array([10, 1, 0.5, 0, 0, 0], np.float32)
    batch = R.collate([made], weights)
    np.testing.assert_array_equal(batch["modality"][0], [1, 1, 2, 0, 0])
    np.testing.assert_array_equal(batch["loss_weights"][0], [1, 1, 0.5, 0, 0])
