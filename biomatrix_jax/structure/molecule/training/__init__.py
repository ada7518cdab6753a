"""Training of the molecule tokenizer's VQ-VAE, from any set of conformers.

  python -m biomatrix_jax.structure.molecule.training FILES --out DIR

trains on SDF files; `train` takes descriptors, `train_vqvae` molecules.
"""

from collections.abc import Callable, Sequence

import numpy as np
from rdkit import Chem

from biomatrix_jax.structure.molecule.conformers import describe_molecules
from biomatrix_jax.structure.molecule.errors import MoleculeError
from biomatrix_jax.structure.molecule.tokenizer import MoleculeTokenizer
from biomatrix_jax.structure.molecule.training.config import TrainingConfig
from biomatrix_jax.structure.molecule.training.drawing import check
from biomatrix_jax.structure.molecule.training.trainer import train

__all__ = ["TrainingConfig", "train", "train_vqvae"]


def train_vqvae(
    conformers: Sequence[Chem.Mol] | np.ndarray,
    *,
    codes: int = 512,
    steps: int = 400,
    seed: int = 0,
    batch_size: int = 512,
    learning_rate: float = 1e-2,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> MoleculeTokenizer:
    """Trains a tokenizer in seconds, on few atoms; `train` has everything else to choose.

    Args:
      conformers: molecules as `MoleculeTokenizer.encode` takes them, or descriptors [atoms, 4].
      codes, steps, seed, batch_size, learning_rate: see `TrainingConfig`.
      on_step: called after each step with its index and its losses and codebook use.

    Raises:
      MoleculeError: a molecule cannot be encoded (`describe_molecules` finds all such at once).
      BadInput: no atoms to train on, or sizes that are not positive.
    """
    config = TrainingConfig(
        codes=codes,
        steps=steps,
        seed=seed,
        batch_size=batch_size,
        learning_rate=learning_rate,
        geometry=1.0,  # in so few steps more of it would hold up what the branches learn
        decoder_steps=steps,
    )
    return train(_descriptors(conformers), config, on_step=on_step)


def _descriptors(conformers: Sequence[Chem.Mol] | np.ndarray) -> np.ndarray:
    if isinstance(conformers, np.ndarray):
        return check(conformers)
    described = describe_molecules(conformers)
    for item in described:
        if isinstance(item, MoleculeError):
            raise item
    return check(np.concatenate([np.zeros((0, 4)), *(item.descriptors for item in described)]))
