"""Which chains run together: few shapes, so that few programs are compiled.

A chain is padded to the next of a few lengths, and all batches of one length have the same number
of rows. So a chain runs in the same program whatever else is encoded with it.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

LENGTHS = (64, 128, 256, 384, 512, 768, 1024, 1280)


class Batch(NamedTuple):
    length: int  # residues of a row, padding included
    rows: int
    members: list[int]  # the chains, as indices; at most `rows` of them


def padded(length: int, longest: int) -> int:
    """What a chain is padded to; `longest`, which no chain exceeds, is one of the lengths."""
    return min(size for size in (*LENGTHS, longest) if length <= size <= longest)


def batches(lengths: Sequence[int], longest: int, residues: int) -> list[Batch]:
    """Every chain in one batch, short ones first.

    Args:
      lengths: of the chains, in residues.
      longest: the most residues a chain can have.
      residues: how many a batch holds, padding included; one row at least.
    """
    members = defaultdict(list)
    for index, length in enumerate(lengths):
        members[padded(length, longest)].append(index)
    return [
        Batch(size, rows, members[size][first : first + rows])
        for size in sorted(members)
        for rows in [max(1, residues // size)]
        for first in range(0, len(members[size]), rows)
    ]
