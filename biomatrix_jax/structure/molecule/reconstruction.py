"""How close decoded conformers come to the original ones.

Both conformers of a molecule have the same atoms in the same order. All lengths are in angstrom and
all angles in radian.
"""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from biomatrix_jax.structure.molecule.ideal_geometry import ORDERS

KERNELS = 0.25, 0.5, 1.0, 2.0, 4.0  # times the mean squared distance of two samples
MMD_SAMPLES = 2000  # of each side at most
MMD_LEAST = 20  # bonds of a type that counts


def superimpose(mobile_n3: np.ndarray, target_n3: np.ndarray) -> np.ndarray:
    """`mobile` turned and shifted, never reflected, to the least RMSD (Kabsch 1976)."""
    mobile_n3, target_n3 = np.asarray(mobile_n3, np.float64), np.asarray(target_n3, np.float64)
    middle = target_n3.mean(axis=0)
    one, two = mobile_n3 - mobile_n3.mean(axis=0), target_n3 - middle
    left, _, right = np.linalg.svd(one.T @ two)
    left[:, 2] *= np.sign(np.linalg.det(left @ right))
    return one @ left @ right + middle


def coordinate_rmsd(one_n3: np.ndarray, two_n3: np.ndarray) -> float:
    """Root mean square distance of the atoms after superposition without reflection."""
    apart = superimpose(one_n3, two_n3) - two_n3
    return float(np.sqrt(np.mean(np.sum(apart**2, axis=1))))


def component_errors(decoded_n4: np.ndarray, original_n4: np.ndarray) -> dict[str, float]:
    """RMSD of r, theta and |phi| and accuracy of the sign, over atoms that have all four.

    Those are the rows whose original sign is not 0: a molecule's first three atoms have no frame.
    """
    original_n4 = np.asarray(original_n4)
    framed = original_n4[:, 3] != 0
    decoded_n4, original_n4 = np.asarray(decoded_n4)[framed], original_n4[framed]
    r, theta, phi = np.sqrt(np.mean((decoded_n4 - original_n4)[:, :3] ** 2, axis=0)).tolist()
    accuracy = float(np.mean(decoded_n4[:, 3] == original_n4[:, 3]))
    return {"r": r, "theta": theta, "phi": phi, "sign_accuracy": accuracy}


def bond_lengths(mol: Chem.Mol, positions_n3: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Type of each bond ("C:C", "C-H": elements in alphabetical order and the order) and length."""
    types, ends = [], np.zeros((mol.GetNumBonds(), 2), np.int64)
    for bond in mol.GetBonds():
        one, two = sorted((bond.GetBeginAtom().GetSymbol(), bond.GetEndAtom().GetSymbol()))
        types.append(f"{one}{ORDERS.get(bond.GetBondType(), '~')}{two}")
        ends[bond.GetIdx()] = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    positions_n3 = np.asarray(positions_n3)
    return types, np.linalg.norm(positions_n3[ends[:, 0]] - positions_n3[ends[:, 1]], axis=1)


def squared_mmd(one_n: np.ndarray, two_m: np.ndarray) -> float:
    """Squared maximum mean discrepancy of two samples of numbers (Gretton et al. 2012, eq. 5).

    The biased estimate, mean k(x, x') + mean k(y, y') - 2 mean k(x, y), with a kernel of five
    Gaussians: k(a, b) = sum over c of exp(-(a - b)^2 / (c s)), c = 1/4, 1/2, 1, 2, 4, where s is
    the mean squared distance of two different members of the pooled samples. This is the usual
    choice for bond lengths of generated molecules. 0 for equal samples, at most 10. Of more than
    2,000 numbers every k-th in ascending order stands for all.
    """
    one, two = (_thin(np.sort(np.asarray(s, np.float64))) for s in (one_n, two_m))
    pooled = np.concatenate([one, two])
    # The mean squared distance over different members is twice the unbiased variance.
    scale = 2 * np.var(pooled, ddof=1) if len(pooled) > 1 else 0.0
    if scale == 0:
        return 0.0

    def mean_kernel(a: np.ndarray, b: np.ndarray) -> float:
        squared = (a[:, None] - b) ** 2 / scale
        return float(sum(np.mean(np.exp(-squared / factor)) for factor in KERNELS))

    return mean_kernel(one, one) + mean_kernel(two, two) - 2 * mean_kernel(one, two)


def bond_length_mmd(
    types: Sequence[str], decoded: np.ndarray, original: np.ndarray
) -> dict[str, float]:
    """`squared_mmd` of the lengths of each bond type that occurs 20 times, most frequent first."""
    names, inverse, counts = np.unique(np.asarray(types), return_inverse=True, return_counts=True)
    decoded, original = np.asarray(decoded), np.asarray(original)
    often = [i for i in np.argsort(-counts, kind="stable") if counts[i] >= MMD_LEAST]
    return {
        str(names[i]): squared_mmd(decoded[inverse == i], original[inverse == i]) for i in often
    }


def stereo_labels(mol: Chem.Mol, positions_n3: np.ndarray) -> tuple[str, ...]:
    """R and S of atoms, E and Z of bonds, as the positions have them, in the order of indices."""
    labelled = Chem.Mol(mol)
    labelled.RemoveAllConformers()
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.ascontiguousarray(positions_n3, np.float64))
    labelled.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(labelled)
    atoms = [atom.GetPropsAsDict().get("_CIPCode", "") for atom in labelled.GetAtoms()]
    return (*atoms, *(str(bond.GetStereo()) for bond in labelled.GetBonds()))


def _thin(ordered: np.ndarray) -> np.ndarray:
    if len(ordered) <= MMD_SAMPLES:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, MMD_SAMPLES).round().astype(int)]
