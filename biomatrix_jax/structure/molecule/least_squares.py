"""Levenberg-Marquardt over the positions of many molecules at once, in a few compiled shapes."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from biomatrix_jax.structure.molecule.restraints import Restraints

# Molecules of one call. A CPU is as fast with one, which then stops when it is done and not when
# the slowest beside it is, and comes out the same bit for bit whatever is refined with it.
BATCH = {"cpu": 1}
ACCELERATOR_BATCH = 64
PAIRS, QUADS = 5, 3  # of them a size has room for, per atom
MAX_STEPS = 64
CONVERGED = 1e-4  # relative gain of a step, the last one
TINY = 1e-12  # angstrom^2, so that no length has an infinite slope
STIFFEST = 1e8  # damping beyond which no step is going to help


class Solution(NamedTuple):
    """Where the sum of squares went: positions in angstrom, and how it ended."""

    positions: np.ndarray  # float64 [n, 3]
    before: float
    after: float
    converged: bool


def solve(starts: Sequence[np.ndarray], restraints: Sequence[Restraints]) -> list[Solution]:
    """Moves each molecule's atoms to where its restraints are violated least.

    Molecules are padded to sizes 16, 24, 32, 48, 64, 96 ..., each compiled once (some seconds), and
    calculated in batches of one size. The same input gives the same output; what a molecule becomes
    does not depend on those beside it. Time grows with the cube of the atoms: thirty take some
    milliseconds of a CPU, three hundred some seconds, a thousand some minutes.

    Args:
      starts: float [n, 3] each, angstrom.
      restraints: as `restraints.restrain` makes them.
    """
    found: list[Solution | None] = [None] * len(starts)
    by_size: dict[int, list[int]] = {}
    for i, (start, restraint) in enumerate(zip(starts, restraints, strict=True)):
        by_size.setdefault(_size(len(start), restraint), []).append(i)
    for size, members in sorted(by_size.items()):
        rows = BATCH.get(jax.default_backend(), ACCELERATOR_BATCH)
        for at in range(0, len(members), rows):
            batch = members[at : at + rows]
            padded = [_pad(starts[i], restraints[i], size) for i in batch]
            # The last batch is filled up with its first molecule.
            padded += padded[:1] * (rows - len(batch))
            results = _solve_batch(*(np.stack(arrays) for arrays in zip(*padded, strict=True)))
            for i, *result in zip(batch, *map(np.asarray, results), strict=False):
                positions = result[0][: len(starts[i])].astype(np.float64)
                found[i] = Solution(positions, *(value.item() for value in result[1:]))
    return found


def _size(atoms: int, restraints: Restraints) -> int:
    need = max(
        atoms, -(-len(restraints.pair_atoms) // PAIRS), -(-len(restraints.quad_atoms) // QUADS)
    )
    size = 16
    while size < need:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def _pad(start: np.ndarray, restraints: Restraints, size: int) -> list[np.ndarray]:
    """Rows without weight up to the size's room; they name atoms that are there."""
    room = [PAIRS * size] * 4 + [size] * 3 + [QUADS * size] * 2
    arrays = [_fill(start - start.mean(axis=0), size).astype(np.float32)]
    for rows, array in zip(room, restraints, strict=True):
        filled = _fill(array, rows)
        if array.dtype.kind == "i":
            filled[len(array) :] = np.arange(array.shape[1])
        arrays.append(filled)
    return arrays


def _fill(array: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])


@jax.jit
@jax.vmap
def _solve_batch(start_n3: jax.Array, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    restraints = Restraints(*arrays)
    before = _cost(start_n3, restraints)

    def step(state):
        positions, damping, cost, steps, _ = state
        residuals, jacobian = _linearize(positions, restraints)
        normal = jnp.matmul(jacobian.T, jacobian, precision=lax.Precision.HIGHEST)
        slope = jnp.matmul(jacobian.T, residuals, precision=lax.Precision.HIGHEST)
        # Turning and shifting the whole molecule costs nothing: damping holds it where it is.
        factor = jax.scipy.linalg.cho_factor(normal + damping * jnp.eye(len(normal)))
        move = jax.scipy.linalg.cho_solve(factor, slope).reshape(positions.shape)
        moved_cost = _cost(positions - move, restraints)
        better = moved_cost < cost  # False for NaN
        done = (better & (cost - moved_cost < CONVERGED * cost)) | (damping > STIFFEST)
        return (
            jnp.where(better, positions - move, positions),
            jnp.where(better, jnp.maximum(damping / 5, 1e-3), damping * 8),
            jnp.where(better, moved_cost, cost),
            steps + 1,
            done,
        )

    start = start_n3, jnp.float32(1), before, 0, False
    positions, _, after, _, done = lax.while_loop(
        lambda state: ~state[4] & (state[3] < MAX_STEPS), step, start
    )
    return positions, before, after, done


def _cost(positions_n3: jax.Array, restraints: Restraints) -> jax.Array:
    groups = _groups(restraints)
    return sum(
        jnp.sum(jax.vmap(residual)(positions_n3[atoms], *others) ** 2)
        for residual, atoms, others in groups
    )


def _linearize(positions_n3: jax.Array, restraints: Restraints) -> tuple[jax.Array, jax.Array]:
    """All residuals [R] and their derivatives [R, 3 n]."""
    residuals, rows = [], []
    for residual, atoms, others in _groups(restraints):

        def twice(places, *others, residual=residual):
            value = residual(places, *others)
            return value, value

        slopes, values = jax.vmap(jax.jacfwd(twice, has_aux=True))(positions_n3[atoms], *others)
        count, each, _, _ = slopes.shape  # rows, residuals of a row, its atoms, 3
        dense = jnp.zeros((count, each, *positions_n3.shape))
        dense = dense.at[jnp.arange(count)[:, None], :, atoms].set(slopes.transpose(0, 2, 1, 3))
        residuals.append(values.reshape(-1))
        rows.append(dense.reshape(count * each, -1))
    return jnp.concatenate(residuals), jnp.concatenate(rows)


def _groups(restraints: Restraints) -> list[tuple]:
    pairs, frames, quads = restraints[:4], restraints[4:7], restraints[7:]
    return [
        (residual, atoms, others)
        for residual, (atoms, *others) in ((_pair, pairs), (_frame, frames), (_quad, quads))
    ]


def _pair(places_23, distance, weight, contact):
    excess = _norm(places_23[0] - places_23[1]) - distance
    return (weight * jnp.where(contact, jnp.minimum(excess, 0), excess))[None]


def _frame(places_43, direction, weights):
    atom, focal, first, second = places_43
    u = _unit(first - focal)
    v = _unit(second - focal - jnp.dot(second - focal, u) * u)
    local = jnp.stack([u, v, jnp.cross(u, v)]) @ _unit(atom - focal)
    return weights @ (local - direction)


def _quad(places_43, weight):
    a, b, c = places_43[1:] - places_43[0]
    return (weight * jnp.dot(jnp.cross(a, b), c))[None]


def _norm(v: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(v * v) + TINY)


def _unit(v: jax.Array) -> jax.Array:
    return v / _norm(v)
