"""A conformer for a molecule without one: ETKDGv3 with a fixed seed, relaxed with MMFF94."""

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from biomatrix_jax.structure.molecule.errors import NoConformer

DECIMALS = 4  # what an SDF file holds: a conformer is the same fresh and read back
MMFF_ITERATIONS = 500
MAX_SEED = 2**31 - 1  # RDKit's


def with_conformer(mol: Chem.Mol, seed: int) -> Chem.Mol:
    """A copy of `mol` with explicit hydrogens, one conformer (angstrom) and the stereo it has.

    Stereo that `mol` leaves open is decided by the embedding, and then labelled, so that whatever
    is derived from the molecule later tells of one and the same isomer.

    Raises:
      NoConformer: no embedding satisfies the distance bounds, or MMFF lacks parameters.
    """
    name = mol.GetProp("_Name") if mol.HasProp("_Name") else Chem.MolToSmiles(mol)
    mol = Chem.AddHs(mol)
    with rdBase.BlockLogs():
        # First, because RDKit's bounds fail, loudly, for the same metals that MMFF does not know.
        if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            raise NoConformer(name, "MMFF94 has no parameters for it")
        parameters = rdDistGeom.ETKDGv3()
        parameters.randomSeed = seed
        try:
            embedded = rdDistGeom.EmbedMolecule(mol, parameters) == 0
        except RuntimeError:  # RDKit's own word for bonds that it finds no bounds for.
            embedded = False
        if not embedded:
            raise NoConformer(name, "ETKDGv3 finds no embedding")
        # On a copy, because MMFF leaves a molecule with its own idea of what is aromatic.
        relaxed = Chem.Mol(mol)
        try:
            rdForceFieldHelpers.MMFFOptimizeMolecule(relaxed, maxIters=MMFF_ITERATIONS)
        except RuntimeError as error:
            raise NoConformer(name, "MMFF94 finds no way to relax it") from error
    positions = np.round(relaxed.GetConformer().GetPositions(), DECIMALS)
    mol.GetConformer().SetPositions(positions)
    label_stereo(mol)
    return mol


def label_stereo(mol: Chem.Mol) -> None:
    """Reads the stereo labels off the conformer, in place."""
    Chem.AssignStereochemistryFrom3D(mol)


def smiles_of(mol: Chem.Mol) -> str:
    """Canonical isomeric SMILES without explicit hydrogens where they can be implied.

    Not even one that tells the two sides of an imine apart: SMILES and SELFIES as they are commonly
    written leave that open.
    """
    parameters = Chem.RemoveHsParameters()
    parameters.removeDefiningBondStereo = True
    return Chem.MolToSmiles(Chem.RemoveHs(mol, parameters))
