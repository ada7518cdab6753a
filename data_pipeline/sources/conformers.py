"""Conformers for a corpus: `structure.molecule.embedding` of each molecule, in threads."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from rdkit import Chem, rdBase

from biomatrix_jax.structure.molecule.embedding import label_stereo, smiles_of, with_conformer
from biomatrix_jax.structure.molecule.errors import NoConformer

__all__ = ["NoConformer", "label_stereo", "smiles_of", "with_conformer", "with_conformers"]

CHUNK = 256

Key = TypeVar("Key")


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
            # Around them all: of blocks in several threads the first to end would end the others.
            with rdBase.BlockLogs():
                results = list(pool.map(attempt, chunk))
            yield from results
