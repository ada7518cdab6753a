"""Random packed rows that tell implementations of the decoder apart."""

import itertools
from typing import NamedTuple

import numpy as np

from biomatrix_jax.errors import BadInput

DOCUMENTS = 4  # packed into each row
LEAST_ROWS, LEAST_LENGTH = 2, 4 * DOCUMENTS


class Rows(NamedTuple):
    """Packed rows as the decoder takes them, int32 [B, T] each; segment 0 is padding."""

    tokens: np.ndarray
    segment_ids: np.ndarray
    positions: np.ndarray


def random_rows(count: int, length: int, seed: int, vocab_size: int, max_positions: int) -> Rows:
    """Rows of several documents each, with padding at the end.

    Documents count their positions from 0, as packed training rows do. In the last row positions
    have random gaps and end at the last one that the model knows: RoPE tells distances only, so
    nothing less shows whether positions are taken as given, and how exact long ones are.

    Args:
      count, length: rows and tokens of each, padding included; `LEAST_ROWS` and `LEAST_LENGTH`.

    Raises:
      BadInput: too few or too short rows, or longer ones than the model has positions.
    """
    for name, value, least in (("rows", count, LEAST_ROWS), ("length", length, LEAST_LENGTH)):
        if value < least:
            raise BadInput(f"{name} of the logits' test: {least} or more, not {value}")
    if length > max_positions:
        raise BadInput(
            f"length of the logits' test: {length} tokens, but the model has {max_positions} "
            "positions: choose less"
        )
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, vocab_size, (count, length), dtype=np.int32)
    segment_ids, positions = np.zeros((2, count, length), np.int32)
    for row in range(count):
        used = length - int(rng.integers(1, length // 8 + 1))
        cuts = np.sort(rng.choice(np.arange(1, used), DOCUMENTS - 1, replace=False))
        bounds = [0, *cuts.tolist(), used]
        for document, (start, end) in enumerate(itertools.pairwise(bounds), 1):
            segment_ids[row, start:end] = document
            positions[row, start:end] = np.arange(end - start)
            if row == count - 1:
                others = rng.choice(max_positions - 1, end - start - 1, replace=False)
                positions[row, start:end] = [*np.sort(others), max_positions - 1]
        positions[row, used:] = np.arange(length - used)
    return Rows(tokens, segment_ids, positions)
