"""Documents -> full rows: best-fit-decreasing packing, planned in windows.

Within a window the longest document goes first, each into the fullest row that still has room for
it, or into a new row. The plan depends on nothing but the lengths and their order, so packing the
same documents again gives the same rows. Planning in windows bounds memory and keeps rows of one
part of a corpus near each other on disk; the loader shuffles them.

No document is divided unless it is longer than a row. Such a one is cut behind the last end of a
segment in the second half of the row, or, where there is none, at the row's length; what remains
goes on as a document of its own. The last token before a cut has no target, like any last token.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from biomatrix_jax.data.rows import Row

ALGORITHM = "best-fit-decreasing"


class Document(NamedTuple):
    """Tokens int32 [n], the modality uint8 [n] of each, and where segments end (ascending)."""

    tokens: np.ndarray
    modality: np.ndarray
    segment_ends: Sequence[int] = ()


def pack(
    documents: Iterable[Document], row_length: int, source: int, window_tokens: int
) -> Iterator[Row]:
    """Packs documents of at most `row_length` tokens into rows of exactly that many.

    Args:
      source: the id that every document gets in its row.
      window_tokens: documents are held until they have so many tokens, then planned together.

    Raises:
      ValueError: an empty document, or one longer than a row (`cut` it first).
    """
    window: list[Document] = []
    tokens = 0
    for document in documents:
        window.append(document)
        tokens += len(document.tokens)
        if tokens >= window_tokens:
            yield from _pack_window(window, row_length, source)
            window, tokens = [], 0
    yield from _pack_window(window, row_length, source)


def plan(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Which documents share a row: best fit, longest first, equal lengths in their given order.

    Args:
      lengths: tokens of each document, from 1 to `row_length`.

    Returns:
      For each row the indices of its documents. n documents take O(n log n) and, for the list of
      distinct gaps, at most `row_length` words moved for each.
    """
    lengths = np.asarray(lengths, np.int64)
    if lengths.size and not 1 <= lengths.min() <= lengths.max() <= row_length:
        raise ValueError(f"document lengths must be from 1 to {row_length}")
    rows: list[list[int]] = []
    gaps: list[int] = []  # distinct free lengths of open rows, ascending
    open_rows: dict[int, list[int]] = {}  # free length -> rows with that much free
    order = np.argsort(-lengths, kind="stable")
    for index, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        place = bisect_left(gaps, length)
        if place == len(gaps):
            row, free = len(rows), row_length
            rows.append([])
        else:
            free = gaps[place]
            row = open_rows[free].pop()
            if not open_rows[free]:
                del open_rows[free], gaps[place]
        rows[row].append(index)
        if free := free - length:
            if free not in open_rows:
                insort(gaps, free)
                open_rows[free] = []
            open_rows[free].append(row)
    return rows


def cut(document: Document, row_length: int) -> list[Document]:
    """The document alone if it fits a row, else the parts it is cut into, none longer than a row.

    The parts joined are the document.
    """
    tokens, modality, ends = document
    parts, start = [], 0
    while len(tokens) - start > row_length:
        # Two tokens stay for the rest where they can: a document's only token is never predicted.
        most = max(min(row_length, len(tokens) - start - 2), row_length // 2 + 1)
        last = bisect_left(ends, start + most + 1) - 1  # the last end that still fits
        stop = ends[last] if last >= 0 else 0
        if stop <= start + row_length // 2:
            stop = start + most
        parts.append(Document(tokens[start:stop], modality[start:stop]))
        start = stop
    parts.append(Document(tokens[start:], modality[start:]))
    return parts


def _pack_window(documents: list[Document], row_length: int, source: int) -> Iterator[Row]:
    for indices in plan([len(d.tokens) for d in documents], row_length):
        tokens = np.zeros(row_length, np.int32)
        modality = np.zeros(row_length, np.uint8)
        lengths = np.array([len(documents[i].tokens) for i in indices])
        used = lengths.sum()
        np.concatenate([documents[i].tokens for i in indices], out=tokens[:used])
        np.concatenate([documents[i].modality for i in indices], out=modality[:used])
        yield Row(tokens, modality, lengths, np.full(len(indices), source))
