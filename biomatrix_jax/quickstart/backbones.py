"""Generated backbones, judged: which are backbones at all, and what real chains are like beside.

All figures are of CA atoms:

    step         from one residue's CA to the next one's: 3.8 A, or 2.9 A before a cis proline
    turn         from one residue's CA to the third one on: 5 to 5.5 A in a helix, 10 A in a strand
    compactness  the radius of gyration over 2.2 L^0.38 A, that of a globular protein of L residues
                 (Skolnick, Kolinski & Ortiz, J. Mol. Biol. 265:217, 1997): about 1 if folded
    overlaps     pairs of residues that are not neighbours whose CA are closer than 3 A: none

They tell a chain from a tangle; whether a sequence could fold so, they do not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.generate import Generation
from biomatrix_jax.quickstart.verdicts import Unusable, sole_segment
from biomatrix_jax.tokens import Protein3D

CA = 1  # of N, CA, C
STEP = (3.6, 4.0)  # angstrom; what counts as a step of 3.8
OVERLAP = 3.0  # angstrom


@dataclass(frozen=True, eq=False)
class Shape:
    """One chain's figures.

    Attributes:
      residues: that have coordinates.
      steps, turns: [at most residues - 1 or - 3] angstrom.
      compactness, overlaps: as in the module's docstring.
    """

    residues: int
    steps: np.ndarray
    turns: np.ndarray
    compactness: float
    overlaps: int


@dataclass(frozen=True, eq=False)
class BackboneVerdict:
    """What one generation is: `backbone` float32 [L, 3, 3] (N, CA, C, angstrom), or None and why
    it is none."""

    backbone: np.ndarray | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """Real chains that went through their structure codes.

    Attributes:
      real, decoded: their shapes before and after, chain by chain.
      rmsd: [chains] angstrom, of CA after superposition.
      tm: [chains] TM-scores.
    """

    real: Sequence[Shape]
    decoded: Sequence[Shape]
    rmsd: np.ndarray
    tm: np.ndarray


def judge(generation: Generation, decode: Callable[[Sequence[int]], np.ndarray]) -> BackboneVerdict:
    """Reads one generation as a backbone.

    Args:
      decode: structure codes -> [L, 3, 3] (`ProteinTokenizer.decode`); raises BadInput where there
        is none.
    """
    try:
        segment = sole_segment(generation)
    except Unusable as error:
        return BackboneVerdict(reason=str(error))
    if not isinstance(segment, Protein3D):
        return BackboneVerdict(reason=f"a {segment.modality} segment")
    try:
        return BackboneVerdict(decode(segment.codes))
    except BadInput:
        return BackboneVerdict(reason="not decodable")


def measure(backbone: np.ndarray) -> Shape:
    """Of a chain [L, 3 or 4, 3], NaN where a residue has no coordinates; at least one has."""
    ca = np.asarray(backbone, float)[:, CA]
    steps, turns = (np.linalg.norm(ca[far:] - ca[:-far], axis=-1) for far in (1, 3))
    there = ~np.isnan(ca).any(axis=-1)
    places = np.flatnonzero(there)
    ca = ca[there]
    radius = np.sqrt(((ca - ca.mean(axis=0)) ** 2).sum(axis=-1).mean())
    apart = np.linalg.norm(ca[:, None] - ca[None], axis=-1)
    neighbours = abs(places[:, None] - places[None]) < 2
    return Shape(
        residues=len(ca),
        steps=steps[np.isfinite(steps)],
        turns=turns[np.isfinite(turns)],
        compactness=float(radius / (2.2 * len(ca) ** 0.38)),
        overlaps=int((apart[~neighbours] < OVERLAP).sum()) // 2,
    )


def compare(real: Sequence[np.ndarray], decoded: Sequence[np.ndarray]) -> RoundTrip:
    """Chains [L, 3 or 4, 3] beside what their codes decode to, over the residues that both have."""
    from biomatrix_jax.structure.protein.superposition import rmsd, tm_score

    pairs = []
    for before, after in zip(real, decoded, strict=True):
        both = np.isfinite(before).all(axis=(1, 2)) & np.isfinite(after).all(axis=(1, 2))
        pairs.append((after[both][:, CA].astype(float), before[both][:, CA].astype(float)))
    return RoundTrip(
        real=[measure(chain) for chain in real],
        decoded=[measure(chain) for chain in decoded],
        rmsd=np.array([rmsd(*pair) for pair in pairs], float),
        tm=np.array([tm_score(*pair) for pair in pairs], float),
    )
