"""The rows of an embedding or output head whose vocabulary grows.

A new token starts as the mean of what its description's pieces mean in the base, plus noise, so
that tokens of one description differ (the rule of the BioMatrix report). Rows go by token id: a
table may have more rows than its tokenizer has tokens, and a new token takes the row of its id.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from biomatrix_jax.blocks import Index, blocks
from biomatrix_jax.convert.values import all_finite, cast
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import Text, Vocabulary
from biomatrix_jax.tokens.descriptions import describe

BLOCK_ROWS = 2048  # of new rows that exist at a time
GENERATOR = (
    "numpy.random.Generator(Philox(key=[seed, table])), table 0 for the embedding and 1 for the "
    "head; standard_normal in float32, one row after the other in the order of ids, new rows only"
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What each row of an extended table is.

    Rows of the base's tokens stay, rows of new tokens follow. Of the base's remaining rows those
    beyond the new tokens stay too. What is then missing is padding, which no token describes: it
    starts as the mean of all the base's tokens.

    Attributes:
      base: the base's tokenizer.
      pieces: for each new token, from id `base.size` on, the base's ids of its description.
      stored: rows of the base's table.
      rows: rows of the extended table.
    """

    base: Vocabulary
    pieces: Sequence[np.ndarray]
    stored: int
    rows: int

    @property
    def tokens(self) -> int:
        """Tokens of the extended vocabulary."""
        return self.base.size + len(self.pieces)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table [rows, D] of the base, read in parts."""

    name: str  # for messages
    dtype: np.dtype
    width: int  # D
    read: Callable[[Index], np.ndarray]

    def block(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """The rows from `start` to `stop`, in blocks of a few megabytes."""
        for rows, *_ in blocks((max(0, stop - start), self.width), self.dtype.itemsize):
            yield self.read((slice(start + rows.start, start + rows.stop),))


def description_pieces(base: Vocabulary, spelling: str) -> np.ndarray:
    """The base's ids [n] of a new token's description."""
    ids = base.encode([Text(describe(spelling))])
    if not len(ids):
        raise BadInput(f"{base.path} has no pieces for {describe(spelling)!r}: use a Qwen3 base")
    return ids


def extended(
    table: Table, plan: Plan, noise: float, seed: int, stream: int
) -> Iterator[np.ndarray]:
    """The rows of the extended table, in order, in blocks of the table's dtype.

    Means and noise are float32, rounded once at the end.

    Args:
      noise: standard deviation.
      stream: of the noise; see GENERATOR.

    Raises:
      BadInput: a row that a mean is made of has NaN or infinity.
    """
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, stream], np.uint64)))

    def noised(means: np.ndarray) -> np.ndarray:
        new = generator.standard_normal(means.shape, np.float32)
        new *= np.float32(noise)
        new += means
        return cast(new, table.dtype, table.name)

    yield from table.block(0, plan.base.size)
    yield from map(noised, _description_means(table, plan))
    yield from table.block(plan.tokens, plan.stored)
    yield from map(noised, _padding_means(table, plan))


def _description_means(table: Table, plan: Plan) -> Iterator[np.ndarray]:
    """The means [n, D] float32 of the new tokens' descriptions."""
    # All descriptions share a few thousand pieces, mostly digits and symbols of elements.
    used = np.unique(np.concatenate(plan.pieces))
    rows = np.concatenate([table.read((slice(i, i + 1),)) for i in used.tolist()])
    _check_finite(table, plan, rows, used)
    rows = rows.astype(np.float32)
    for start in range(0, len(plan.pieces), BLOCK_ROWS):
        block = plan.pieces[start : start + BLOCK_ROWS]
        yield np.stack([rows[np.searchsorted(used, ids)].mean(axis=0) for ids in block])


def _padding_means(table: Table, plan: Plan) -> Iterator[np.ndarray]:
    """For each padding row the mean of all the base's tokens, [n, D] float32."""
    missing = plan.rows - max(plan.stored, plan.tokens)
    if not missing:
        return
    total = np.zeros(table.width, np.float64)
    first = 0
    for block in table.block(0, plan.base.size):
        _check_finite(table, plan, block, range(first, first + len(block)))
        total += block.astype(np.float32).sum(axis=0, dtype=np.float64)
        first += len(block)
    mean = (total / plan.base.size).astype(np.float32)
    for start in range(0, missing, BLOCK_ROWS):
        yield np.tile(mean, (min(BLOCK_ROWS, missing - start), 1))


def _check_finite(table: Table, plan: Plan, rows: np.ndarray, ids: Sequence[int]) -> None:
    if all_finite(rows):
        return
    token_id = ids[int(np.isfinite(rows.astype(np.float32)).all(axis=1).argmin())]
    raise BadInput(
        f"{table.name}: the row of token {token_id}, {plan.base.token(token_id)!r}, has NaN or "
        "infinity: new rows are means of it; use an undamaged base"
    )
