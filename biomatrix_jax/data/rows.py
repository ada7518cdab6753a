"""One packed row: its bytes on disk, and what a training step derives from it.

Records of the documents tier have the same layout, T being what their documents need.

Layout of a record, little-endian, version 1, for a row of T tokens holding n documents:

    offset      type        what
    0           4 bytes     b"BMXR"
    4           uint16      version
    6           uint16      reserved, 0
    8           uint32      T
    12          uint32      n
    16          int32[T]    tokens; 0 in the padding at the end
    16+4T       uint32[n]   lengths of the documents, in order, tokens
    16+4T+4n    uint16[n]   source of each document: its index in the manifest's `sources`
    16+4T+6n    uint8[T]    modality of each token: its index in `tokens.MODALITIES`

The arrays lie at offsets that are multiples of their item size, so they are read without copies.
Documents stand first, padding last; a segment id is a document's place in its row, counted from 1.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from biomatrix_jax.errors import BadInput

MAGIC = b"BMXR"
VERSION = 1
_HEADER = struct.Struct("<4sHHII")


class Row(NamedTuple):
    """A packed row of T tokens holding n documents.

    tokens: int32 [T]; modality: uint8 [T]; lengths: int [n], each at least 1, at most T together;
    source: int [n], below 2**16.
    """

    tokens: np.ndarray
    modality: np.ndarray
    lengths: np.ndarray
    source: np.ndarray

    @property
    def segment_ids(self) -> np.ndarray:
        """int32 [T]: 0 is padding, documents count from 1."""
        return np.repeat(*_runs(self)).astype(np.int32, copy=False)


def encode_row(row: Row) -> bytes:
    """The record of a row. Raises ValueError for arrays that do not describe one row."""
    length, documents = len(row.tokens), len(row.lengths)
    if len(row.modality) != length or len(row.source) != documents:
        raise ValueError("a row needs a modality for each token and a source for each document")
    if np.min(row.lengths, initial=1) < 1 or np.sum(row.lengths, dtype=np.int64) > length:
        raise ValueError(f"documents of {list(row.lengths)} tokens do not fit a row of {length}")
    return b"".join(
        (
            _HEADER.pack(MAGIC, VERSION, 0, length, documents),
            np.asarray(row.tokens, "<i4").tobytes(),
            np.asarray(row.lengths, "<u4").tobytes(),
            np.asarray(row.source, "<u2").tobytes(),
            np.asarray(row.modality, "u1").tobytes(),
        )
    )


def decode_row(record: bytes, row_length: int | None = None) -> Row:
    """A row as read-only views into `record`; of any length where none is expected.

    Raises:
      BadInput: the record is no row, has another version or row length, is cut short or too long,
        or its documents do not fit it. The caller adds where the record came from.
    """
    if len(record) < _HEADER.size or record[: len(MAGIC)] != MAGIC:
        raise BadInput("not a packed row")
    _, version, _, length, n = _HEADER.unpack_from(record)
    if version != VERSION:
        raise BadInput(f"packed row of format version {version}; this release reads {VERSION}")
    if row_length is not None and length != row_length:
        raise BadInput(f"packed row of {length} tokens where {row_length} were expected")
    ends = np.cumsum((_HEADER.size, 4 * length, 4 * n, 2 * n, length)).tolist()
    if len(record) != ends[-1]:
        raise BadInput(f"packed row of {len(record)} bytes where {ends[-1]} were expected")
    row = Row(
        tokens=np.frombuffer(record, "<i4", length, ends[0]),
        lengths=np.frombuffer(record, "<u4", n, ends[1]),
        source=np.frombuffer(record, "<u2", n, ends[2]),
        modality=np.frombuffer(record, "u1", length, ends[3]),
    )
    if np.min(row.lengths, initial=1) < 1 or np.sum(row.lengths, dtype=np.int64) > length:
        raise BadInput(f"packed row whose documents do not fit its {length} tokens")
    return row


def predicts(segment_ids: np.ndarray) -> np.ndarray:
    """bool [..., T]: whether a position has a target, that is, its document goes on after it."""
    goes_on = np.zeros(segment_ids.shape, bool)
    goes_on[..., :-1] = segment_ids[..., :-1] == segment_ids[..., 1:]
    goes_on &= segment_ids != 0
    return goes_on


def next_in_document(values: np.ndarray, goes_on: np.ndarray) -> np.ndarray:
    """int32 [..., T]: `values` one position later in the same document, 0 where there is none."""
    later = np.zeros(values.shape, np.int32)
    np.multiply(values[..., 1:], goes_on[..., :-1], out=later[..., :-1], casting="unsafe")
    return later


def positions(segment_ids: np.ndarray) -> np.ndarray:
    """int32 [..., T]: places within each document, counted from 0; padding counts on its own."""
    place = np.arange(segment_ids.shape[-1], dtype=np.int32)
    starts = np.zeros(segment_ids.shape, np.int32)
    changes = segment_ids[..., 1:] != segment_ids[..., :-1]
    np.multiply(place[1:], changes, out=starts[..., 1:])
    np.maximum.accumulate(starts, axis=-1, out=starts)
    return np.subtract(place, starts, out=starts)


def collate(rows: Sequence[Row], modality_weights: np.ndarray) -> dict[str, np.ndarray]:
    """The batch a training step takes, all arrays [B, T] but the last.

    Args:
      rows: B rows of T tokens.
      modality_weights: float32 [number of modalities], the loss weight of a target by its modality.

    Returns:
      int32 `tokens`, `targets`, `segment_ids`, `positions`, `modality` (of the target) and `source`
      (of the document), float32 `loss_weights`. `targets` and `modality` are 0 where a position has
      no target, and there its loss weight is 0; padding has source 0. And int32 `modality_tokens`
      [B, number of modalities], the tokens of each row by their own modality.
    """
    tokens = np.stack([row.tokens for row in rows])
    modality = np.stack([row.modality for row in rows])
    segment_ids, source = np.empty((2, *tokens.shape), np.int32)
    modality_tokens = np.empty((len(rows), len(modality_weights)), np.int32)
    for b, row in enumerate(rows):
        ids, counts = _runs(row)
        segment_ids[b] = np.repeat(ids, counts)
        source[b] = np.repeat(np.append(row.source, np.uint16(0)), counts)
        used = row.modality[: len(row.modality) - counts[-1]]
        modality_tokens[b] = np.bincount(used, minlength=len(modality_weights))
    goes_on = predicts(segment_ids)
    modality = next_in_document(modality, goes_on)
    return {
        "tokens": tokens,
        "targets": next_in_document(tokens, goes_on),
        "segment_ids": segment_ids,
        "positions": positions(segment_ids),
        "loss_weights": np.take(modality_weights, modality) * goes_on,
        "modality": modality,
        "source": source,
        "modality_tokens": modality_tokens,
    }


def _runs(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """Segment ids and how many tokens each stands for, the padding's 0 last."""
    ids = np.arange(1, len(row.lengths) + 2, dtype=np.int32)
    ids[-1] = 0
    used = np.sum(row.lengths, dtype=np.int64)
    return ids, np.append(row.lengths.astype(np.int64), len(row.tokens) - used)
