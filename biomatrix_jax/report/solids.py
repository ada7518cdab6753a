"""Balls, sticks and tubes as a shaded picture, by NumPy alone.

Every shape is a capsule: all points within a radius of a line segment; a ball is one whose segment
has no length. Rays are parallel, so a pixel's hit has a closed form. Nothing is drawn behind the
shapes: the picture is transparent there and lies on any ground.
"""

from dataclasses import dataclass

import numpy as np

SUPERSAMPLING = 3  # rays along each side of a pixel
MARGIN = 0.04  # of the picture, free on each side
LARGEST_SCALE = 45  # pixels an angstrom: what is tiny does not fill the picture
# Unit vectors: towards the light, from the upper left, and halfway between that and the eye.
LIGHT = np.array([-0.4206, 0.5507, 0.7210])
HALFWAY = np.array([-0.2265, 0.2967, 0.9277])


@dataclass(frozen=True, eq=False)
class Capsules:
    """S capsules; x points right, y up and z at whoever looks, in angstrom."""

    starts: np.ndarray  # float [S, 3]
    ends: np.ndarray  # float [S, 3]
    radii: np.ndarray  # float [S]
    colors: np.ndarray  # float [S, 3], red, green and blue from 0 to 1


def paint(capsules: Capsules, width: int, height: int) -> np.ndarray:
    """The capsules as uint8 [height, width, 4]: red, green, blue and opacity; fitted, centred."""
    shape = (height * SUPERSAMPLING, width * SUPERSAMPLING)
    z, normals, colors = _trace(_placed(capsules, *shape), *shape)
    hit = np.isfinite(z)
    opaque = np.zeros((*shape, 4))
    opaque[hit, :3] = _shade(normals[hit], colors[hit]).clip(0, 1)
    opaque[hit, 3] = 1
    # Averaged with the colors weighted by opacity, so that edges do not darken.
    blocks = opaque.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 4).mean(axis=(1, 3))
    opacity = blocks[..., 3:]
    straight = blocks[..., :3] / np.maximum(opacity, 1e-6)
    return np.rint(255 * np.concatenate([straight, opacity], axis=-1)).astype(np.uint8)


def _placed(capsules: Capsules, height: int, width: int) -> Capsules:
    """The same in pixels, fitted into the picture; y still points up, from its lower edge."""
    radii = capsules.radii[:, None]
    ends = np.concatenate([capsules.starts, capsules.ends])[:, :2]
    low = (ends - np.tile(radii, (2, 1))).min(axis=0)
    high = (ends + np.tile(radii, (2, 1))).max(axis=0)
    frame = np.array([width, height])
    scale = min((frame * (1 - 2 * MARGIN) / (high - low)).min(), LARGEST_SCALE * SUPERSAMPLING)
    shift = np.append(frame / 2 - scale * (low + high) / 2, 0)
    return Capsules(
        capsules.starts * scale + shift,
        capsules.ends * scale + shift,
        capsules.radii * scale,
        capsules.colors,
    )


def _trace(capsules: Capsules, height: int, width: int):
    """What is nearest at each ray: z in pixels (-inf for nothing), unit normals, colors."""
    z = np.full((height, width), -np.inf)
    normals = np.zeros((height, width, 3))
    colors = np.zeros((height, width, 3))
    for start, end, radius, color in zip(
        capsules.starts, capsules.ends, capsules.radii, capsules.colors, strict=True
    ):
        low = np.floor(np.minimum(start, end)[:2] - radius).astype(int).clip(0)
        x, y = np.meshgrid(
            np.arange(low[0], min(width, int(max(start[0], end[0]) + radius) + 2)) + 0.5,
            np.arange(low[1], min(height, int(max(start[1], end[1]) + radius) + 2)) + 0.5,
        )
        here, normal = _hit(x - start[0], y - start[1], end - start, radius)
        here += start[2]
        rows = slice(height - low[1] - x.shape[0], height - low[1])  # row 0 is the upper edge
        box = rows, slice(low[0], low[0] + x.shape[1])
        here, normal = here[::-1], normal[::-1]
        nearer = here > z[box]
        z[box][nearer] = here[nearer]
        normals[box][nearer] = normal[nearer]
        colors[box][nearer] = color
    return z, normals, colors


def _hit(x: np.ndarray, y: np.ndarray, axis: np.ndarray, radius: float):
    """Where rays along z meet one capsule from the origin to `axis`: z (-inf: nowhere), normals."""
    best, normal = _ball(x, y, radius)
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        return best, normal
    z, other = _ball(x - axis[0], y - axis[1], radius)
    best, normal = _nearer(best, normal, z + axis[2], other)
    along = axis / length
    a = 1 - along[2] ** 2
    if a < 1e-9:  # seen end on, the ball at its end hides the rest
        return best, normal
    # |p|^2 - (p . along)^2 = radius^2 at p = (x, y, z) is a quadratic in z; the larger root.
    m = x * along[0] + y * along[1]
    b = m * along[2]
    inside = b**2 - a * (x**2 + y**2 - m**2 - radius**2)
    z = (b + np.sqrt(inside.clip(0))) / a
    foot = m + z * along[2]
    z[(inside < 0) | (foot < 0) | (foot > length)] = -np.inf
    points = np.stack([x, y, np.where(np.isfinite(z), z, 0)], axis=-1)
    return _nearer(best, normal, z, (points - foot[..., None] * along) / radius)


def _ball(x: np.ndarray, y: np.ndarray, radius: float):
    square = radius**2 - x**2 - y**2
    z = np.sqrt(square.clip(0))
    normal = np.stack([x, y, z], axis=-1) / radius
    return np.where(square >= 0, z, -np.inf), normal


def _nearer(z, normal, other_z, other_normal):
    nearer = other_z > z
    return np.where(nearer, other_z, z), np.where(nearer[..., None], other_normal, normal)


def _shade(normals: np.ndarray, colors: np.ndarray) -> np.ndarray:
    diffuse = (normals @ LIGHT).clip(0)[..., None]
    gloss = (normals @ HALFWAY).clip(0)[..., None] ** 40
    rim = normals[..., 2:].clip(0) ** 0.35  # turned away: darker, which draws outlines
    return colors * (0.5 + 0.62 * diffuse) * (0.5 + 0.5 * rim) + 0.22 * gloss
