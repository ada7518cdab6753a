"""Batches for training: each a pure function of (manifest, mixture, seed, step).

A row of the mixture has a number: row i of step s is number s * B + i of an endless sequence. The
mixture, or its stage at that number, says which source it draws from and how often the source was
drawn before (`mixture`); the source's shuffle, another one in each of its epochs, says which of its
rows that is. Nothing is remembered between batches: the state of the loader is the step, which a
checkpoint's `data` holds, and any number of processes draws the same global batch. The sequence
does not depend on B either: a run that changes it goes on at the next row (`batch_sizes`).
"""

import hashlib
import itertools
import math
import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import grain
import numpy as np

from biomatrix_jax.config import DataConfig
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.batch_sizes import BatchSizes
from biomatrix_jax.data.mixture import Schedule, Stage, stages
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
        batches: BatchSizes | None = None,
    ):
        """Opens a data directory. Reads the manifest; shards are opened when first drawn from.

        Args:
          path: directory made by `biomatrix data build`.
          config: row length, global batch, mixture and loss weights. (Its own `path` is the
            caller's to resolve.)
          seed: decides the order of every source's rows in every epoch.
          process_index, process_count: process p of P gets rows [p * B / P, (p + 1) * B / P) of
            each global batch of B.
          batches: of the run so far, where B was another before; the last is `config.batch_rows`.

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
        self._modality_weights = _modality_weights(config.loss_weights)
        self._batches = batches or BatchSizes(((0, config.batch_rows),))
        self._stages = stages(self.manifest, config)
        sources = [
            grain.MapDataset.source(RowSource(path, self.manifest, name))
            .shuffle(seed=_source_seed(seed, name))
            .repeat()
            for name in self._stages[0].weights
        ]
        schedule = Schedule(
            [
                (self._batches.first_row(stage.from_step), list(stage.weights.values()))
                for stage in self._stages
            ]
        )
        self._rows = grain.MapDataset.select_from_datasets(sources, schedule)
        self._own_rows = config.batch_rows // process_count
        self._first_own = process_index * self._own_rows

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """This process's rows of a step's batch, as `rows.collate` describes them.

        Raises:
          BadInput: a record is damaged or holds an id beyond the vocabulary; names shard and row.
        """
        first = self._batches.first_row(step) + self._first_own
        rows = [self._rows[row] for row in range(first, first + self._own_rows)]
        return collate(rows, self._modality_weights)

    def stage(self, step: int) -> Stage:
        """The mixture of a step's batch."""
        return [stage for stage in self._stages if stage.from_step <= step][-1]

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
