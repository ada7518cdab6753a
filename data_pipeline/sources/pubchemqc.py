"""PubChemQC B3LYP/6-31G*//PM6: electronic structure of 86 million compounds of PubChem.

Nakata and Maeda, J. Chem. Inf. Model. 63, 5734 (2023), CC BY 4.0, as MolSSI distributes it:
https://huggingface.co/datasets/molssiai-hub/pubchemqc-b3lyp, `data/SUBSET/train/*.json`, arrays of
records sorted by CID. Read are the SMILES that PubChem had, the geometry that PM6 relaxed
(angstrom; `connection-indices` has two atoms a bond, from 1 on), and the values that B3LYP gave for
it. Energies are in eV, as cclib gives them, although the page says hartree of `orbital-energies`.

Bonds, charges and hydrogens are those of the SMILES, put on the geometry by its connections; where
PM6 moved a hydrogen or broke a bond, the record is another molecule's and is dropped.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.json_array import array_objects
from data_pipeline.records import MoleculeRecord
from data_pipeline.sources.columns import Column, numbers
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.molecules import from_conformer, parse_smiles
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

WHOLE = (
    Column("total-energy", "Total energy", "eV", decimals=3),
    Column("dipole-moment", "Dipole moment", "D"),
)
ORBITALS = (
    Column("energy-alpha-homo", "HOMO energy", "eV"),
    Column("energy-alpha-lumo", "LUMO energy", "eV"),
    Column("energy-alpha-gap", "HOMO-LUMO gap", "eV"),
)
Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "pubchemqc", (".json",))


def read(file: Path, options: Options, tally: Tally) -> Iterator[MoleculeRecord]:
    """One record per compound, called `pubchemqc:CID`, with the relaxed geometry."""
    return records(options.first(array_objects(file)), partial(_record, tally=tally), tally)


def _record(where: str, entry: dict[str, Any], tally: Tally) -> MoleculeRecord:
    with rdBase.BlockLogs():
        record = _molecule(entry)
    columns = WHOLE
    if entry.get("multiplicity", 1) == 1:
        columns = (*ORBITALS, *WHOLE)
    else:  # two sets of orbitals, and neither is the molecule's
        tally.lose("orbital energies of an open shell", record.id)
    return replace(record, properties=numbers(entry, columns, tally, record.id))


def _molecule(entry: dict[str, Any]) -> MoleculeRecord:
    cid, smiles = entry.get("cid"), entry.get("pubchem-isomeric-smiles")
    if not isinstance(cid, int) or not isinstance(smiles, str):
        raise BadInput("no cid or no pubchem-isomeric-smiles")
    mol = Chem.AddHs(parse_smiles(smiles))
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(_positions(entry, mol))
    mol.AddConformer(conformer)
    return from_conformer(mol, f"pubchemqc:{cid}")


def _positions(entry: dict[str, Any], mol: Chem.Mol) -> np.ndarray:
    """[n, 3] angstrom, in the order of the atoms of `mol`, which has explicit hydrogens."""
    try:
        elements = np.asarray(entry["atomic-numbers"], int)
        positions_n3 = np.asarray(entry["coordinates"], float).reshape(len(elements), 3)
        bonds = np.asarray(entry["connection-indices"], int).reshape(-1, 2) - 1
        if len(elements) != mol.GetNumAtoms():
            raise BadInput("geometry has other atoms than the SMILES")
        geometry, places = _skeleton(elements.tolist(), bonds.tolist())
    except BadInput:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError):
        raise BadInput("geometry is incomplete") from None
    if not np.isfinite(positions_n3).all():
        raise BadInput("geometry is incomplete")
    wanted, atoms = _skeleton(
        [atom.GetAtomicNum() for atom in mol.GetAtoms()],
        [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()],
    )
    if geometry != wanted:
        raise BadInput("geometry has other bonds than the SMILES")
    return positions_n3[[place for _, place in sorted(zip(atoms, places, strict=True))]]


def _skeleton(elements: list[int], bonds: list[tuple[int, int]]) -> tuple[str, list[int]]:
    """A canonical string of who is bound to whom, and which atom each of its atoms is."""
    mol = Chem.RWMol()
    for element in elements:
        atom = Chem.Atom(element)
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for begin, end in bonds:
        mol.AddBond(begin, end, Chem.BondType.SINGLE)
    mol.UpdatePropertyCache(strict=False)
    smiles = Chem.MolToSmiles(mol)
    return smiles, list(mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
