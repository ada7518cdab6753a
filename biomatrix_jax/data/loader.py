"""Batches for training: each a pure function of (manifest, mixture, seed, step).

A row of the mixture has a number: row i of step s is number s * B + i of an endless sequence. The
mixture says which source that number draws from and how often the source was drawn before; the
source's shuffle says which of its rows that is. Nothing is remembered between batches, so the state
of the loader is the step, and any number of processes draws the same global batch.
"""

import hashlib
import itertools
import math
import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import grain
import numpy as np

from biomatrix_jax.config import DataConfig
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.data.reader import RowSource
from biomatrix_jax.data.rows import collate
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens.segments import MODALITIES

READ_AHEAD = 2  # batches: one ready, one in the making


class Loader:
    """Draws this process's part of each global batch."""

    def __init__(
        self,
        path: str | os.PathLike,
        config: DataConfig,
        seed: int,
        process_index: int = 0,
        process_count: int = 1,
    ):
        """Opens a data directory. Reads the manifest; shards are opened when first drawn from.

        Args:
          path: directory made by `biomatrix data build`.
          config: row length, global batch, mixture and loss weights. (Its own `path` is the
            caller's to resolve.)
          seed: decides the order of every source's rows in every epoch.
          process_index, process_count: process p of P gets rows [p * B / P, (p + 1) * B / P) of
            each global batch of B.

        Raises:
          BadInput: the directory is not complete, its row length is another, a mixture names an
            unknown source or a weight that is not positive, the loss weights name an unknown
            modality, or `process_count` does not divide the global batch.
        """
        self.manifest = manifests.read(path)
        if config.row_length != self.manifest.row_length:
            raise BadInput(
                f"{path}: rows of {self.manifest.row_length} tokens, but data.row_length is "
                f"{config.row_length}: set it to the rows', or build the data again"
            )
        if config.batch_rows % process_count:
            raise BadInput(
                f"data.batch_rows ({config.batch_rows}) must be a multiple of the "
                f"{process_count} processes"
            )
        weights = mixture_weights(self.manifest, config.mixture)
        modality_weights = _modality_weights(config.loss_weights)
        sources = [
            grain.MapDataset.source(RowSource(path, self.manifest, name))
            .shuffle(seed=_source_seed(seed, name))
            .repeat()
            for name in weights
        ]
        rows = grain.MapDataset.select_from_datasets(sources, Mixture(list(weights.values())))
        self._parts = rows.batch(
            config.batch_rows // process_count,
            batch_fn=lambda drawn: collate(drawn, modality_weights),
        )
        self._process = process_index, process_count

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """This process's rows of a step's batch, as `rows.collate` describes them.

        Raises:
          BadInput: a record is damaged or holds an id beyond the vocabulary; names shard and row.
        """
        index, count = self._process
        return self._parts[step * count + index]

    def iterate(self, start_step: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """Endless batches from `start_step` on, some of them read ahead in a thread."""
        steps = itertools.count(start_step)
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as reader:
            ahead = deque(reader.submit(self.batch, next(steps)) for _ in range(READ_AHEAD))
            try:
                while True:
                    batch = ahead.popleft().result()
                    ahead.append(reader.submit(self.batch, next(steps)))
                    yield batch
            finally:  # the caller stops by closing the generator
                reader.shutdown(cancel_futures=True)


class Mixture(grain.transforms.DatasetSelectionMap):
    """Which source each number of the mixture draws from, evenly spread and exactly by weight.

    Let C_i be the weight of sources 0..i together and G_i(k) how many of the first k draws fall to
    them. G of the last is k, and G_{i-1}(k) = floor(G_i(k) * C_{i-1} / C_i). Each step adds at most
    one to each G, so draw k belongs to the first source whose G grows from k to k + 1, and source
    i was drawn G_i(k) - G_{i-1}(k) times before it: always within one draw per source of its exact
    share. Integers throughout, so nothing drifts over billions of draws. (Grain's own `mix` rounds
    weights to hundredths of the smallest.)
    """

    def __init__(self, weights: Sequence[float]):
        # A weight is taken as the decimal number it was written as: 0.1 is a tenth.
        exact = [Fraction(repr(weight)) for weight in weights]
        scale = math.lcm(*(weight.denominator for weight in exact))
        self._cumulative = list(itertools.accumulate(int(weight * scale) for weight in exact))

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> tuple[int, int]:
        before, after = index, index + 1  # G_i of the last source
        for source in range(len(self._cumulative) - 1, 0, -1):
            below, through = self._cumulative[source - 1], self._cumulative[source]
            lower_before, lower_after = before * below // through, after * below // through
            if lower_before == lower_after:
                return source, before - lower_before
            before, after = lower_before, lower_after
        return 0, before


def mixture_weights(manifest: Manifest, mixture: Mapping[str, float]) -> dict[str, float]:
    """Weight of each source that is drawn from; by rows where the configuration names none.

    Raises BadInput for a source the data does not have, or a weight that is not positive.
    """
    rows = {source.name: source.rows for source in manifest.sources}
    known = ", ".join(rows)
    for name, weight in mixture.items():
        if name not in rows:
            raise BadInput(f"data.mixture: no source {name} in this data, which has: {known}")
        if not 0 < weight < math.inf:
            raise BadInput(
                f"data.mixture: the weight of {name} must be positive, not {weight}; leave a "
                f"source out to draw nothing from it (the data has: {known})"
            )
    # In the manifest's order, so that a mixture's order in the configuration changes nothing.
    return {name: mixture[name] for name in rows if name in mixture} or rows


def _modality_weights(loss_weights: Mapping[str, float]) -> np.ndarray:
    """float32 [modalities]: the loss weight of a target of each modality, 1 where not named."""
    for name, weight in loss_weights.items():
        if name not in MODALITIES:
            raise BadInput(
                f"data.loss_weights: no modality {name}; there are: {', '.join(MODALITIES)}"
            )
        if not 0 <= weight < math.inf:
            raise BadInput(f"data.loss_weights: {name} must be 0 or more, not {weight}")
    return np.array([loss_weights.get(name, 1.0) for name in MODALITIES], np.float32)


def _source_seed(seed: int, source: str) -> int:
    """32 bits for each source, so that adding a source leaves the order of the others alone."""
    digest = hashlib.sha256(f"{seed}/{source}".encode()).digest()
    return int.from_bytes(digest[:4], "little")
