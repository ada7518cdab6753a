"""How well codes tell local geometry: errors of each component on atoms that training did not see.

What they do to whole molecules is measured in `structure.molecule.reconstruction`.
"""

import numpy as np

from biomatrix_jax.structure.molecule.vqvae import Weights, code_table, encode


def evaluate(weights: Weights, descriptors_n4: np.ndarray) -> dict[str, float]:
    """Root-mean-square errors over atoms, and use of the codebook.

    Returns:
      length (angstrom), angle and torsion (radian), sign (part of the atoms that keep theirs),
      displacement (angstrom, of the atom within its frame), codes (how many of them occur) and
      perplexity (how many there would be, used alike).
    """
    table = code_table(weights)
    codes = encode(weights, descriptors_n4)
    decoded = table[codes].astype(np.float64)
    square = np.mean((decoded - descriptors_n4) ** 2, axis=0)
    moved = np.sum((_positions(decoded) - _positions(descriptors_n4)) ** 2, axis=1)
    count = np.bincount(codes, minlength=len(table))
    used = count[count > 0] / len(codes)
    return {
        "length": float(np.sqrt(square[0])),
        "angle": float(np.sqrt(square[1])),
        "torsion": float(np.sqrt(square[2])),
        "sign": float(np.mean(decoded[:, 3] == descriptors_n4[:, 3])),
        "displacement": float(np.sqrt(np.mean(moved[descriptors_n4[:, 3] != 0]))),
        "codes": int(np.sum(count > 0)),
        "perplexity": float(np.exp(-np.sum(used * np.log(used)))),
    }


def _positions(descriptors_n4: np.ndarray) -> np.ndarray:
    r, theta, phi, sign = descriptors_n4.T
    radius = r * np.sin(theta)
    return np.stack([radius * np.cos(phi), radius * np.sin(phi) * sign, r * np.cos(theta)], axis=1)
