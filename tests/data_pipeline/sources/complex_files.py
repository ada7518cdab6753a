"""Files of small complexes: a straight chain of alanines, a ligand with its pose."""

from rdkit import Chem
from rdkit.Chem import rdDistGeom

from tests.structure.protein.structures import pdb_text

LIGAND = "C[C@H](N)C(=O)O"


def receptor(chains: str = "A", residues: int = 9) -> str:
    return "".join(pdb_text(range(1, residues + 1), chain=chain) for chain in chains) + "END\n"


def pose(smiles: str = LIGAND, hydrogens: bool = False, shift: float = 0.0) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
    positions = mol.GetConformer().GetPositions().round(4)
    positions[:, 0] += shift
    mol.GetConformer().SetPositions(positions)
    return mol if hydrogens else Chem.RemoveHs(mol)


def sdf(*mols: Chem.Mol) -> str:
    fields = "> <minimizedAffinity>\n-5.1\n\n$$$$\n"
    return "".join(Chem.MolToMolBlock(mol) + fields for mol in mols)
