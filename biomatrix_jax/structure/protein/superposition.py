"""How alike two structures are: RMSD after superposition, and the TM-score.

Shape letters: B batch (any leading axes), n points, which correspond one to one.
"""

import jax
import jax.numpy as jnp
import numpy as np

Array = np.ndarray | jax.Array

# Of the search for the TM-score, as in the authors' program.
_ROUNDS = 20
_SHORTEST_FRAGMENT = 4
_LEVELS = 6  # fragments of n, n/2, n/4 ... points
_D0_LEAST = 0.5  # angstrom
_SEARCH_D0 = (4.5, 8.0)


def kabsch(moving_bnx: Array, target_bnx: Array, weights_bn: Array | None = None):
    """The rotation and translation that bring one set of points closest to another.

    No reflection: the rotation's determinant is +1. After Kabsch, Acta Cryst. A34:827 (1978).

    Args:
      moving_bnx, target_bnx: [..., n, 3]. numpy arrays are computed by numpy, in float64; others by
        JAX.
      weights_bn: [..., n], 0 for points that do not count; None: all count alike.

    Returns:
      rotation [..., 3, 3] and translation [..., 3]: `moving @ rotation.mT + translation` lies on
      the target. Where fewer than three points count they are one of several such pairs.
    """
    xp = _library(moving_bnx, target_bnx, weights_bn)
    if xp is np:
        moving_bnx, target_bnx = (np.asarray(x, np.float64) for x in (moving_bnx, target_bnx))
    weights = xp.ones(moving_bnx.shape[:-1]) if weights_bn is None else weights_bn
    weights = xp.asarray(weights, moving_bnx.dtype)[..., None]
    total = xp.maximum(weights.sum(-2, keepdims=True), 1e-8)
    # A point without weight may be anything, NaN too.
    moving, target = (xp.where(weights > 0, x, 0) for x in (moving_bnx, target_bnx))
    mean, other_mean = ((weights * x).sum(-2, keepdims=True) / total for x in (moving, target))
    covariance = xp.einsum(
        "...nx,...ny->...xy",
        weights * (moving - mean),
        target - other_mean,
        **({"precision": "highest"} if xp is jnp else {}),
    )
    u, _, vt = xp.linalg.svd(covariance)
    hand = xp.sign(xp.linalg.det(u) * xp.linalg.det(vt))
    last = xp.stack([xp.ones_like(hand), xp.ones_like(hand), hand], axis=-1)
    rotation = xp.einsum("...iy,...i,...xi->...yx", vt, last, u)
    return rotation, (other_mean - _turned(mean, rotation, xp))[..., 0, :]


def moved(points_bnx: Array, rotation: Array, translation: Array) -> Array:
    """Points [..., n, 3] turned and shifted as `kabsch` says."""
    xp = _library(points_bnx, rotation, translation)
    return _turned(points_bnx, rotation, xp) + translation[..., None, :]


def rmsd(a_bnx: Array, b_bnx: Array, weights_bn: Array | None = None) -> Array:
    """Root mean square distance after superposition, [...], in the unit of the points."""
    xp = _library(a_bnx, b_bnx, weights_bn)
    squares = ((moved(a_bnx, *kabsch(a_bnx, b_bnx, weights_bn)) - b_bnx) ** 2).sum(-1)
    if weights_bn is None:
        return xp.sqrt(squares.mean(-1))
    squares = xp.where(weights_bn > 0, squares, 0)
    return xp.sqrt((weights_bn * squares).sum(-1) / weights_bn.sum(-1))


def d0(length: int) -> float:
    """The distance, in angstrom, at which a pair counts half in a chain of so many residues."""
    return max(_D0_LEAST, 1.24 * np.cbrt(max(length - 15, 0)) - 1.8)


def tm_score(model_nx: np.ndarray, reference_nx: np.ndarray, length: int | None = None) -> float:
    """The TM-score of two structures whose residues correspond, between 0 and 1.

    max over superpositions of 1/length sum_i 1 / (1 + (d_i / d0(length))^2), d_i the distance of
    the CAs of pair i; Zhang and Skolnick, Proteins 57:702 (2004). The maximum is sought as their
    TM-score program does: from the superposition of every fragment of n, n/2, n/4 ... 4 consecutive
    pairs, repeatedly superposing the pairs that are near each other. The best of all is then
    followed to the maximum that it lies beside.

    Args:
      model_nx, reference_nx: [n, 3] CA coordinates in angstrom, n at least 3.
      length: residues of the reference chain where it has more than the n compared.
    """
    model, reference = (np.asarray(x, np.float64) for x in (model_nx, reference_nx))
    count = len(model)
    if model.shape != reference.shape or model.shape[1:] != (3,) or count < 3:
        raise ValueError(f"points of {model.shape} and {reference.shape}: give two alike [n, 3]")
    scale, best = d0(length or count), (0.0, np.zeros(count))
    fragment = count
    for _ in range(_LEVELS):
        best = max(best, _searched(model, reference, fragment, scale), key=lambda found: found[0])
        if fragment <= _SHORTEST_FRAGMENT:
            break
        fragment = max(fragment // 2, _SHORTEST_FRAGMENT)
    score, distances = best
    for _ in range(_ROUNDS):
        # A term is convex in the squared distance: with its slope as the weight of a superposition
        # the sum never falls.
        weights = (1 + (distances / scale) ** 2) ** -2
        scores, [distances] = _scored(model, reference, weights[None], scale)
        score = max(score, float(scores[0]))
    return score / (length or count)


def _searched(model, reference, fragment: int, scale: float) -> tuple[float, np.ndarray]:
    """The highest sum of terms from any fragment of one size, and the distances it comes with."""
    near = float(np.clip(scale, *_SEARCH_D0))
    chosen = _windows(np.arange(len(model) - fragment + 1), fragment, len(model))
    best: tuple[float, np.ndarray] = (0.0, np.zeros(len(model)))
    for number in range(_ROUNDS):
        scores, distances = _scored(model, reference, chosen, scale)
        leader = scores.argmax()
        if scores[leader] > best[0]:
            best = float(scores[leader]), distances[leader]
        again = _within(distances, near - 1 if number == 0 else near + 1)
        if number:  # a search ends where it stands still
            again = again[(again != chosen).any(axis=1)]
        chosen = np.unique(again, axis=0)  # of those that met, one goes on
        if not len(chosen):
            break
    return best


def _windows(starts: np.ndarray, size: int, count: int) -> np.ndarray:
    index = np.arange(count)
    return (index >= starts[:, None]) & (index < starts[:, None] + size)


def _scored(model, reference, weights_sn: np.ndarray, scale: float):
    """For each superposition by weights: the sum of all pairs' terms [s], distances [s, n]."""
    many = (len(weights_sn), *model.shape)
    rotation, translation = kabsch(
        np.broadcast_to(model, many), np.broadcast_to(reference, many), weights_sn
    )
    distances = np.linalg.norm(moved(model, rotation, translation) - reference, axis=-1)
    return (1 / (1 + (distances / scale) ** 2)).sum(-1), distances


def _within(distances_sn: np.ndarray, cutoff: float) -> np.ndarray:
    """The pairs within the cutoff, which grows by 0.5 until there are three."""
    third = np.partition(distances_sn, 2, axis=-1)[:, 2:3]
    steps = np.maximum(np.floor((third - cutoff) / 0.5) + 1, 0)
    return distances_sn < cutoff + 0.5 * steps


def _turned(points: Array, rotation: Array, xp) -> Array:
    precision = {"precision": "highest"} if xp is jnp else {}
    return xp.einsum("...nx,...yx->...ny", points, rotation, **precision)


def _library(*arrays):
    return jnp if any(isinstance(x, jax.Array) for x in arrays) else np
