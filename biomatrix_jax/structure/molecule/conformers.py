"""From RDKit molecules to what the network sees: one row of descriptors per atom."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from biomatrix_jax.structure.molecule.descriptors import (
    check_focal_atoms,
    degenerate,
    describe,
    reference_atoms,
)
from biomatrix_jax.structure.molecule.errors import CollinearReferences, MoleculeError
from biomatrix_jax.structure.molecule.serialization import Line, line_up


@dataclass(frozen=True)
class Described:
    """A molecule's line of tokens and its atoms' descriptors in that order."""

    line: Line
    descriptors: np.ndarray  # float64 [atoms, 4]: angstrom, radian, radian, sign


def describe_molecules(mols: Sequence[Chem.Mol]) -> list[Described | MoleculeError]:
    """Descriptors of each molecule's first conformer; a molecule that fails gives its error.

    The geometry of all molecules is computed in one pass over the concatenated atoms.
    """
    results: list[Described | MoleculeError | None] = [None] * len(mols)
    index, lines, positions = [], [], []
    for i, mol in enumerate(mols):
        try:
            line = line_up(mol)
            check_focal_atoms(line.focal, line.name)
        except MoleculeError as error:
            results[i] = error
            continue
        index.append(i)
        lines.append(line)
        positions.append(mol.GetConformer().GetPositions()[line.order])
    if not lines:
        return results

    counts = [len(line.order) for line in lines]
    references = reference_atoms(np.concatenate([line.focal for line in lines]), counts)
    positions_n3 = np.concatenate(positions)
    bad = degenerate(positions_n3, references)
    with np.errstate(invalid="ignore", divide="ignore"):  # Rows of molecules that are given up.
        descriptors = describe(positions_n3, references)
    ends = np.cumsum(counts)
    for i, line, start, end in zip(index, lines, [0, *ends[:-1]], ends, strict=True):
        faults = np.flatnonzero(bad[start:end])
        if faults.size:
            results[i] = CollinearReferences(
                line.name,
                f"atom {line.order[faults[0]]} has no frame: its focal and reference atoms lie on "
                "one line or coincide (as in linear molecules)",
            )
        else:
            results[i] = Described(line, descriptors[start:end])
    return results
