"""Which source each row of the endless sequence is drawn from, and which of its rows that is.

All of it is integer arithmetic on the row's number: nothing is remembered between rows, so that
any of them is found at once, and a run resumes anywhere.
"""

import bisect
import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import grain

from biomatrix_jax.config import DataConfig
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.errors import BadInput


class Mixture:
    """Which source each draw falls to, evenly spread and exactly by weight.

    Let C_i be the weight of sources 0..i together and G_i(k) how many of the first k draws fall to
    them. G of the last is k, and G_{i-1}(k) = floor(G_i(k) * C_{i-1} / C_i). Each step adds at most
    one to each G, so draw k belongs to the first source whose G grows from k to k + 1, and source
    i was drawn G_i(k) - G_{i-1}(k) times before it: always within one draw per source of its exact
    share. Integers throughout, so nothing drifts over billions of draws. (Grain's own `mix` rounds
    weights to hundredths of the smallest.)
    """

    def __init__(self, weights: Sequence[float]):
        """Weights are 0 or more, not all of them 0."""
        # A weight is taken as the decimal number it was written as: 0.1 is a tenth.
        exact = [Fraction(repr(weight)) for weight in weights]
        scale = math.lcm(*(weight.denominator for weight in exact))
        self._cumulative = list(itertools.accumulate(int(weight * scale) for weight in exact))

    def __getitem__(self, draw: int) -> tuple[int, int]:
        """(source, how often it was drawn before)."""
        before, after = draw, draw + 1  # G_i of the last source
        for source in range(len(self._cumulative) - 1, 0, -1):
            below, through = self._cumulative[source - 1], self._cumulative[source]
            lower_before, lower_after = before * below // through, after * below // through
            if lower_before == lower_after:
                return source, before - lower_before
            before, after = lower_before, lower_after
        return 0, before

    def counts(self, draws: int) -> list[int]:
        """How many of the first `draws` fall to each source."""
        counts, through_all = [], draws
        for source in range(len(self._cumulative) - 1, 0, -1):
            below, through = self._cumulative[source - 1], self._cumulative[source]
            lower = through_all * below // through if through else 0
            counts.append(through_all - lower)
            through_all = lower
        return [through_all, *reversed(counts)]


class Schedule(grain.transforms.DatasetSelectionMap):
    """Mixtures that follow one another; each source goes on where the one before left it."""

    def __init__(self, stages: Sequence[tuple[int, Sequence[float]]]):
        """Stages are (number of its first row, weight of every source), the first from row 0."""
        self._first = [first for first, _ in stages]
        self._mixtures = [Mixture(weights) for _, weights in stages]
        self._drawn = [[0] * len(stages[0][1])]  # of each source, before each stage
        for (start, end), mixture in zip(
            itertools.pairwise(self._first), self._mixtures, strict=False
        ):
            within = mixture.counts(end - start)
            self._drawn.append([a + b for a, b in zip(self._drawn[-1], within, strict=True)])

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, row: int) -> tuple[int, int]:
        """(source, how often it was drawn before)."""
        stage = bisect.bisect_right(self._first, row) - 1
        source, drawn = self._mixtures[stage][row - self._first[stage]]
        return source, self._drawn[stage][source] + drawn


@dataclass(frozen=True)
class Stage:
    """The mixture from a step on: {source: weight}, 0 for one that only other stages draw from."""

    from_step: int
    weights: dict[str, float]

    @cached_property
    def shares(self) -> dict[str, float]:
        """The weights, of a sum of 1."""
        total = math.fsum(self.weights.values())
        return {name: weight / total for name, weight in self.weights.items()}


def stages(manifest: Manifest, config: DataConfig) -> list[Stage]:
    """The mixture and its schedule, all with the same sources, in the manifest's order.

    Raises:
      BadInput: a mixture names a source the data do not have, or a weight that is not positive.
    """
    found = {0: weights(manifest, config.mixture, "data.mixture")}
    for index, stage in enumerate(config.mixture_schedule):
        key = f"data.mixture_schedule.{index}.mixture"
        found[stage.from_step] = weights(manifest, stage.mixture, key)
    # In the manifest's order, so that a mixture's order in the configuration changes nothing.
    drawn = [s.name for s in manifest.sources if any(s.name in given for given in found.values())]
    return [
        Stage(step, {name: given.get(name, 0) for name in drawn}) for step, given in found.items()
    ]


def weights(manifest: Manifest, mixture: Mapping[str, float], key: str) -> Mapping[str, float]:
    """Weight of each source that is drawn from; by rows where the configuration names none.

    Raises BadInput for a source the data does not have, or a weight that is not positive.
    """
    rows = {source.name: source.rows for source in manifest.sources}
    known = ", ".join(rows)
    for name, weight in mixture.items():
        if name not in rows:
            raise BadInput(f"{key}: no source {name} in this data, which has: {known}")
        if not 0 < weight < math.inf:
            raise BadInput(
                f"{key}: the weight of {name} must be positive, not {weight}; leave a "
                f"source out to draw nothing from it (the data has: {known})"
            )
    return mixture or rows
