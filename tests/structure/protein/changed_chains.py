"""Real chains and changed copies of them; needs numpy alone, as the maker of references does."""

import gzip
import re
from pathlib import Path

import numpy as np

PROTEINS = Path(__file__).parents[3] / "biomatrix_jax/assets/proteins"

# entry, chain, seed, noise in angstrom, hinges (residue, angle in degrees)
CASES = {
    "1ubi noise 1": ("1ubi", "A", 1, 1.0, ()),
    "1ubi noise 3": ("1ubi", "A", 2, 3.0, ()),
    "1fas noise 2": ("1fas", "A", 3, 2.0, ()),
    "3enl noise 2": ("3enl", "A", 4, 2.0, ()),
    "3enl hinge": ("3enl", "A", 5, 0.1, ((330, 12.0),)),
    "2hhb hinge": ("2hhb", "A", 6, 0.1, ((70, 10.0),)),
    "1afs two hinges": ("1afs", "A", 7, 0.1, ((100, 6.0), (220, -9.0))),
    "1fki hinge": ("1fki", "A", 9, 0.1, ((80, 25.0),)),
    "1fx2 noise 4": ("1fx2", "A", 10, 4.0, ()),
}


def alpha_carbons(entry: str, chain: str) -> np.ndarray:
    """CA coordinates [n, 3] of a chain in the box, angstrom."""
    text = gzip.decompress((PROTEINS / f"{entry}-backbone.pdb.gz").read_bytes()).decode()
    found = re.findall(rf"^ATOM.{{9}}CA.{{6}}{chain}.{{8}}(.{{24}})", text, re.MULTILINE)
    return np.array([[float(row[i : i + 8]) for i in (0, 8, 16)] for row in found])


def changed(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A chain [n, 3], and the copy that is bent at hinges, blurred and moved away."""
    entry, chain, seed, noise, hinges = CASES[name]
    points = alpha_carbons(entry, chain)
    other = points.copy()
    for residue, angle in hinges:
        turn = about_z(np.radians(angle))
        other[residue:] = (other[residue:] - other[residue]) @ turn.T + other[residue]
    random = np.random.default_rng(seed)
    other += noise * random.normal(size=other.shape) / np.sqrt(3)
    return points, other @ about_z(1.0).T @ np.roll(about_z(2.0), 1, (0, 1)).T + [10.0, -20.0, 5.0]


def about_z(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
