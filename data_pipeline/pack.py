"""Documents -> full rows: best-fit-decreasing packing, planned for one shard at a time.

The longest document goes first, each into the fullest row that still has room for it, or into a new
row. The plan depends on nothing but the lengths and their order, so packing the same documents
again gives the same rows.

No document is divided unless it is longer than a row. Such a one is cut behind the last end of a
segment in the second half of the row, or, where there is none, at the row's length; what remains
goes on as a document of its own. The last token before a cut has no target, like any last token.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from biomatrix_jax.data.rows import Row

ALGORITHM = "best-fit-decreasing"


class Documents(NamedTuple):
    """Documents one behind the other: document i is `tokens[starts[i] : starts[i] + lengths[i]]`.

    int32 tokens [T], uint8 modality [T], int64 starts and lengths [n], int source [n].
    """

    tokens: np.ndarray
    modality: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    source: np.ndarray


def pack(documents: Documents, row_length: int) -> Iterator[Row]:
    """Packs documents of at most `row_length` tokens (`cut` makes them so) into rows of that many.

    Raises:
      ValueError: an empty document, or one longer than a row.
    """
    tokens, modality, starts, lengths, source = documents
    ends = (starts + lengths).tolist()
    begins = starts.tolist()
    for indices in plan(lengths, row_length):
        row_tokens = np.zeros(row_length, np.int32)
        row_modality = np.zeros(row_length, np.uint8)
        of_row = lengths[indices]
        used = int(of_row.sum())
        np.concatenate([tokens[begins[i] : ends[i]] for i in indices], out=row_tokens[:used])
        np.concatenate([modality[begins[i] : ends[i]] for i in indices], out=row_modality[:used])
        yield Row(row_tokens, row_modality, of_row, source[indices])


def plan(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Which documents share a row: best fit, longest first, equal lengths in their given order.

    Args:
      lengths: tokens of each document, from 1 to `row_length`.

    Returns:
      For each row the indices of its documents; there are at most 2 `sum(lengths)` / `row_length`
      rows and one. n documents take O(n log n) and, for the list of distinct gaps, at most
      `row_length` words moved for each.
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


def cut(documents: Documents, row_length: int, end_tokens: np.ndarray) -> tuple[Documents, int]:
    """The documents with those longer than a row in pieces that are not; and how many were longer.

    The pieces joined are the document, and stand where it stood.

    Args:
      end_tokens: the ids that end a segment.
    """
    tokens, modality, starts, lengths, source = documents
    long = np.flatnonzero(lengths > row_length)
    if not len(long):
        return documents, 0
    pieces: dict[int, list[int]] = {}
    for i in long.tolist():
        part = slice(starts[i], starts[i] + lengths[i])
        ends = _segment_ends(tokens[part], modality[part], end_tokens)
        pieces[i] = pieces_of(int(lengths[i]), ends, row_length)
    counts = np.ones(len(lengths), np.int64)
    counts[long] = [len(pieces[i]) for i in long.tolist()]
    new_lengths = np.repeat(lengths, counts)
    first = np.cumsum(counts) - counts
    for i in long.tolist():
        new_lengths[first[i] : first[i] + counts[i]] = pieces[i]
    # Pieces lie behind each other where their document lay.
    before = np.cumsum(new_lengths) - new_lengths
    within = before - np.repeat(before[first], counts)
    cut_up = Documents(
        tokens, modality, np.repeat(starts, counts) + within, new_lengths, np.repeat(source, counts)
    )
    return cut_up, len(long)


def pieces_of(length: int, ends: Sequence[int], row_length: int) -> list[int]:
    """Into what lengths a document is cut; `ends`, ascending, are where its segments end."""
    pieces, start = [], 0
    while length - start > row_length:
        # Two tokens stay for the rest where they can: a document's only token is never predicted.
        most = max(min(row_length, length - start - 2), row_length // 2 + 1)
        last = bisect_left(ends, start + most + 1) - 1  # the last end that still fits
        stop = ends[last] if last >= 0 else 0
        if stop <= start + row_length // 2:
            stop = start + most
        pieces.append(stop - start)
        start = stop
    return [*pieces, length - start]


def _segment_ends(tokens: np.ndarray, modality: np.ndarray, end_tokens: np.ndarray) -> list[int]:
    """Behind each end token, and wherever the modality changes."""
    behind = np.isin(tokens[:-1], end_tokens)
    behind |= modality[:-1] != modality[1:]
    return (np.flatnonzero(behind) + 1).tolist()
