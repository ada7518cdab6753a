"""From steps to rows: how many rows of the endless sequence were drawn before a step."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class BatchSizes:
    """The global batch, which may have been changed in the midst of a run.

    since: (first step, rows of a batch from it on), by step, the first one from step 0.
    """

    since: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, pairs: Iterable[Iterable[int]]) -> "BatchSizes":
        """From what a checkpoint holds of them."""
        return cls(tuple((step, rows) for step, rows in pairs))

    def then(self, step: int, rows: int) -> "BatchSizes":
        """These up to `step`, and batches of `rows` from it on."""
        past = tuple(pair for pair in self.since if pair[0] < step)
        if past and past[-1][1] == rows:
            return BatchSizes(past)
        return BatchSizes((*past, (step, rows)))

    def first_row(self, step: int) -> int:
        """The number of the first row of a step's batch: so many were drawn before it."""
        ends = [start for start, _ in self.since[1:]] + [step]
        return sum(
            (min(end, step) - start) * rows
            for (start, rows), end in zip(self.since, ends, strict=True)
            if start < step
        )
