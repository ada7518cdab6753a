"""Molecules with conformers, and the worked examples of the published tokenizer."""

import gzip
import json

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

# Between them: fused and bridged rings, charges, double and triple bonds, halogens, S(VI), P(V).
SMILES = (
    "CCO",
    "c1ccccc1C(=O)NC",
    "C[N+](=O)[O-]",
    "OC(=O)C(N)CS",
    "c1ccc2[nH]ccc2c1",
    "C1CC2CCC1C2",
    "CS(=O)(=O)c1ccc(F)cc1",
    "FC(F)(Cl)C=CBr",
    "C[NH3+]",
    "CC(C)(C)OP(=O)(O)O",
    "O=C1CCCN1",
    "CC#N",
)


def embed(smiles: str, seed: int = 7) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = AllChem.ETKDGv3()
    parameters.randomSeed = seed
    assert AllChem.EmbedMolecule(mol, parameters) == 0
    mol.SetProp("_Name", smiles)
    return mol


def bond_matrix(mol: Chem.Mol, order: np.ndarray | None = None) -> np.ndarray:
    """bool [atoms, atoms]: which atoms are bonded, renumbered to `order` where given."""
    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    return bonded if order is None else bonded[np.ix_(order, order)]


@pytest.fixture(scope="session")
def mols() -> list[Chem.Mol]:
    return [embed(smiles) for smiles in SMILES]


@pytest.fixture(scope="session")
def golden(shared_reference) -> list[dict]:
    """350 molecules with what the published code makes of them; `mol` is the parsed molblock."""
    path = shared_reference / "molstructok" / "golden.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        row["mol"] = Chem.MolFromMolBlock(row["molblock"], removeHs=False)
    return rows
