"""New folds out of known ones: a chain turned about some of its own bonds."""

import numpy as np

# The bonds of a residue about which everything behind it turns: phi about N-CA, psi about CA-C.
_AXES = ((0, 1), (1, 2))


def bend(
    backbone_l33: np.ndarray, bends: int, spread: float, random: np.random.Generator
) -> np.ndarray:
    """Turns what lies behind randomly chosen residues about their phi or psi.

    Bond lengths, bond angles and all other torsions stay, and so do pieces between bends; what was
    in contact may part and atoms may clash. It teaches a decoder that local geometry, and not
    memory, says where a chain goes.

    Args:
      backbone_l33: N, CA, C of each residue, in angstrom, without NaN.
      spread: standard deviation of the angles, radians.
    """
    bent = np.array(backbone_l33, np.float64)
    for residue in random.integers(0, len(bent), bends):
        first, second = _AXES[random.integers(2)]
        start, axis = bent[residue, first], bent[residue, second] - bent[residue, first]
        turn = _rotation(axis, spread * random.normal())
        behind = bent.reshape(-1, 3)[3 * residue + second + 1 :]
        behind[:] = (behind - start) @ turn.T + start
    return bent.astype(np.float32)


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """About an axis through the origin, by the right-hand rule: the formula of Rodrigues."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
