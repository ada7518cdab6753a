"""Batches of chains, each a pure function of the chains, the settings and the step."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import gaps
from biomatrix_jax.structure.protein.graph import RESIDUES
from biomatrix_jax.structure.protein.training.bending import bend
from biomatrix_jax.structure.protein.training.chains import TrainingChain
from biomatrix_jax.structure.protein.training.config import BatchConfig


class Batch(NamedTuple):
    """Chains padded to L residues."""

    backbone: np.ndarray  # float32 [B, L, 3, 3], N, CA, C in angstrom, gaps filled in
    residues: np.ndarray  # int32 [B, L], indices into RESIDUES
    present: np.ndarray  # bool [B, L], false for padding
    observed: np.ndarray  # bool [B, L], false also where a gap was filled in


class Prepared(NamedTuple):
    """One chain, ready to be cut and padded."""

    backbone: np.ndarray  # float32 [L, 3, 3]
    residues: np.ndarray  # int32 [L]
    observed: np.ndarray  # bool [L]
    family: int


def prepare(chain: TrainingChain) -> Prepared:
    """Fills the gaps of a chain. Raises BadInput where nothing was observed."""
    filled, observed = gaps.fill(chain.backbone)
    classes = [RESIDUES.find(letter) for letter in chain.sequence]
    unknown = RESIDUES.index("X")
    residues = np.array([unknown if index < 0 else index for index in classes], np.int32)
    return Prepared(filled[:, :3], residues, observed, chain.family)


class Sampler:
    """Draws batches of the chains that are trained on.

    A batch has one length, drawn by its share among those that are open at its step, and chains
    longer than the next shorter length, so that little of it is padding. Families are drawn by the
    square root of their number of such chains: alike chains teach less than different ones.
    """

    def __init__(self, chains: Sequence[Prepared], config: BatchConfig, seed: int):
        self.config, self.seed = config, seed
        self._chains = chains
        self._pools = []
        lengths = np.array([len(chain.residues) for chain in chains])
        families = np.array([chain.family for chain in chains])
        shorter = [0, *sorted(config.lengths)[:-1]]
        for length, least in zip(sorted(config.lengths), shorter, strict=True):
            members = np.flatnonzero(lengths > least)
            if not len(members):
                raise BadInput(f"batch.lengths: no chain to train on is longer than {least}")
            _, family, sizes = np.unique(families[members], return_inverse=True, return_counts=True)
            weights = sizes[family] ** -0.5
            self._pools.append((length, members, weights / weights.sum()))
        order = np.argsort(config.lengths, kind="stable")
        self._shares, self._opens = np.array(config.schedule)[order].T

    def batch(self, step: int) -> Batch:
        """The batch of a step; no other step's is needed for it."""
        random = np.random.default_rng([self.seed, step])
        shares = np.where(self._opens <= step, self._shares, 0)
        pool = random.choice(len(self._pools), p=shares / shares.sum())
        length, members, weights = self._pools[pool]
        rows = self.config.residues // length
        chosen = random.choice(members, rows, p=weights)
        return padded([self._window(self._chains[i], length, random) for i in chosen], length)

    def _window(self, chain: Prepared, length: int, random: np.random.Generator) -> Prepared:
        spare = len(chain.residues) - length
        # A window without an observed residue would be no chain.
        while True:
            start = int(random.integers(0, spare + 1)) if spare > 0 else 0
            part = slice(start, start + length)
            if chain.observed[part].any():
                break
        backbone = chain.backbone[part]
        if random.random() < self.config.bent:
            backbone = bend(backbone, self.config.bends, self.config.bend_spread, random)
        return Prepared(backbone, chain.residues[part], chain.observed[part], chain.family)


def padded(chains: Sequence[Prepared], length: int) -> Batch:
    """Chains of at most `length` residues as one batch."""
    batch = Batch(
        backbone=np.zeros((len(chains), length, 3, 3), np.float32),
        residues=np.zeros((len(chains), length), np.int32),
        present=np.zeros((len(chains), length), bool),
        observed=np.zeros((len(chains), length), bool),
    )
    for row, chain in enumerate(chains):
        part = slice(0, len(chain.residues))
        batch.backbone[row, part] = chain.backbone
        batch.residues[row, part] = chain.residues
        batch.present[row, part] = True
        batch.observed[row, part] = chain.observed
    return batch
