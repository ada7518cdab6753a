"""One conformer per molecule: ETKDGv3 with a fixed seed, relaxed with MMFF94."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from biomatrix_jax.errors import BadInput

DECIMALS = 4  # what an SDF file holds: a conformer is the same fresh and read back
MMFF_ITERATIONS = 500
CHUNK = 256

Key = TypeVar("Key")


class NoConformer(BadInput):
    """Why a molecule has no conformer."""


def with_conformer(mol: Chem.Mol, seed: int) -> Chem.Mol:
    """A copy of `mol` with explicit hydrogens, one conformer (angstrom) and the stereo it has.

    Stereo that `mol` leaves open is decided by the embedding, and then labelled, so that whatever
    is derived from the molecule later tells of one and the same isomer.

    Raises:
      NoConformer: no embedding satisfies the distance bounds, or MMFF lacks parameters.
    """
    mol = Chem.AddHs(mol)
    # First, because RDKit's bounds fail, loudly, for the same metals that MMFF does not know.
    if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        raise NoConformer("MMFF94 has no parameters for it")
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    try:
        embedded = rdDistGeom.EmbedMolecule(mol, parameters) == 0
    except RuntimeError:  # RDKit's own word for bonds that it finds no bounds for.
        embedded = False
    if not embedded:
        raise NoConformer("ETKDGv3 finds no embedding")
    # On a copy, because MMFF leaves a molecule with its own idea of what is aromatic.
    relaxed = Chem.Mol(mol)
    rdForceFieldHelpers.MMFFOptimizeMolecule(relaxed, maxIters=MMFF_ITERATIONS)
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


def with_conformers(
    mols: Iterable[tuple[Key, Chem.Mol]], seed: int, workers: int
) -> Iterator[tuple[Key, Chem.Mol | NoConformer]]:
    """`with_conformer` of each molecule, in order; one that fails gives its error.

    The result does not depend on `workers`. These are threads: RDKit lets go of the interpreter
    while it embeds and relaxes, and processes would have to be started without fork once JAX runs.
    """

    def attempt(item: tuple[Key, Chem.Mol]) -> tuple[Key, Chem.Mol | NoConformer]:
        key, mol = item
        try:
            return key, with_conformer(mol, seed)
        except NoConformer as error:
            return key, error

    mols = iter(mols)
    with ThreadPoolExecutor(workers) as pool:
        # Chunks, because the pool would otherwise read and keep the whole corpus.
        while chunk := list(islice(mols, CHUNK)):
            with rdBase.BlockLogs():
                results = list(pool.map(attempt, chunk))
            yield from results
