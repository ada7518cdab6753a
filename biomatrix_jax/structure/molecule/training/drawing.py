"""Which atoms a step sees, and in which hand."""

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule.training.config import TrainingConfig


def check(descriptors_n4: np.ndarray) -> np.ndarray:
    """The array itself; BadInput where it is not finite, or empty, or not [atoms, 4]."""
    shape = np.shape(descriptors_n4)
    if len(shape) != 2 or shape[1] != 4 or not shape[0]:
        raise BadInput(f"training needs descriptors [atoms, 4], not {list(shape)}")
    if not np.isfinite(descriptors_n4).all():
        raise BadInput("training needs finite descriptors: one NaN would become every weight")
    return descriptors_n4


def mirror(x_nf: np.ndarray, chosen_n: np.ndarray) -> np.ndarray:
    """Features with the chosen atoms (bool [atoms]) as in the mirror image of their molecule.

    A mirror turns the polar angle over and leaves the rest (w = u x v is an axial vector); the
    first three atoms, whose sign is 0, have no polar angle.
    """
    x_nf = x_nf.copy()
    turned = chosen_n & (x_nf[:, 3] != 0)
    x_nf[turned, 1] = 1 - x_nf[turned, 1]
    return x_nf


def draw(data_nf: np.ndarray, config: TrainingConfig, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The atoms of a step, half of them mirrored, and for each code where among them it restarts.

    A function of its arguments, so that a run can go on anywhere.

    Returns:
      float32 [batch_size, 4] and int32 [codes].
    """
    random = np.random.default_rng([config.seed, step])
    x_nf = data_nf[random.integers(0, len(data_nf), config.batch_size)]
    x_nf = mirror(x_nf, random.random(config.batch_size) < 0.5)
    return x_nf, random.integers(0, config.batch_size, config.codes, np.int32)
