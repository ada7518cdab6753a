"""The chains to train on, as one file, and which of them are held out."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file

KIND = "biomatrix protein chains 1"


@dataclass(frozen=True, eq=False)
class TrainingChain:
    """One chain of L residues.

    Attributes:
      name: entry and chain, 1A8O_A.
      sequence: L letters, X where unknown.
      backbone: float32 [L, 4, 3], N, CA, C, O in angstrom, NaN where a residue is not whole.
      family: the same number for chains of similar sequence.
      held_out: kept from training, to measure on.
    """

    name: str
    sequence: str
    backbone: np.ndarray
    family: int = 0
    held_out: bool = False


def write(path: str | os.PathLike, chains: Sequence[TrainingChain]) -> None:
    """Writes chains as one .npz file, atomically; equal chains give equal arrays."""
    with atomic_file(path) as file:
        np.savez_compressed(
            file,
            kind=np.array(KIND),
            names=np.array([chain.name for chain in chains]),
            lengths=np.array([len(chain.sequence) for chain in chains], np.int32),
            families=np.array([chain.family for chain in chains], np.int32),
            held_out=np.array([chain.held_out for chain in chains], bool),
            sequences=np.array("".join(chain.sequence for chain in chains)),
            backbones=np.concatenate([chain.backbone for chain in chains]).astype(np.float32),
        )


def read(path: str | os.PathLike) -> list[TrainingChain]:
    """Reads what `write` wrote.

    Raises:
      BadInput: there is no such file, or it holds something else.
    """
    try:
        with np.load(Path(path), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if arrays["kind"] != KIND:
            raise ValueError(f"its kind is {arrays['kind']}")
        names, lengths, families, held_out = (
            arrays[key] for key in ("names", "lengths", "families", "held_out")
        )
        sequences, backbones = str(arrays["sequences"]), arrays["backbones"]
        if not len(sequences) == len(backbones) == int(lengths.sum()):
            raise ValueError("its arrays differ in length")
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist: make it with make_protein_training_set") from None
    except Exception as error:  # whatever a damaged archive meets in numpy and zipfile
        raise BadInput(f"{path}: not a set of protein chains ({error}): make it again") from None
    starts = np.cumsum(lengths) - lengths
    return [
        TrainingChain(
            str(name),
            sequences[start : start + length],
            backbones[start : start + length],
            int(family),
            bool(held),
        )
        for name, start, length, family, held in zip(
            names, starts, lengths, families, held_out, strict=True
        )
    ]
