"""Records that repeat one, by their keys."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_pipeline.removal.identity import KEY_BYTES
from data_pipeline.removal.ordering import Sorter, followers
from data_pipeline.removal.tables import PAIR, Table

_KEY = f"S{KEY_BYTES}"
KEYS = np.dtype([("subject", _KEY), ("said", _KEY)])  # of a record, see `identity`
_KEYED = np.dtype([("key", _KEY), ("value", "<i8")])


def repetitions(records: Table, directory: Path, memory: int) -> Iterator[np.ndarray]:
    """Blocks of PAIR: every record that repeats an earlier one, ascending, and the first.

    Who says nothing more of a subject repeats whoever was first to have it, others repeat whoever
    was first to say the same.

    Args:
      records: of KEYS; a record is known by its number there.
      directory: for what memory does not hold: up to 48 bytes for a record.
      memory: how many bytes to use, about.
    """
    memory //= 2  # one sorter gives rows back while another takes what is made of them
    keyed = Sorter(directory / "records", _KEYED, memory)
    for start, block in records.blocks(memory // 8):  # which is copied several times
        # A record is entered by what it says, and asked about by that; where it says more of its
        # subject, it is entered by that too, with an odd value, for others to repeat.
        keys_n2 = np.stack([block["said"], block["subject"]], axis=1)
        values_n2 = 2 * np.arange(start, start + len(block))[:, None] + [0, 1]
        entered_n2 = np.ones_like(keys_n2, bool)
        entered_n2[:, 1] = block["said"] != block["subject"]
        keyed.add(key=keys_n2[entered_n2], value=values_n2[entered_n2])
    found = Sorter(directory / "repeated", PAIR, memory)
    for value, first, _ in followers(keyed.blocks(memory)):
        asked = value % 2 == 0
        found.add(key=value[asked] // 2, first=first[asked] // 2)
    return found.blocks(memory)
