"""MolStrucTok: molecules with coordinates to tokens and back. Needs rdkit and selfies."""

from biomatrix_jax.structure.molecule.errors import MoleculeError
from biomatrix_jax.structure.molecule.tokenizer import Encoding, MoleculeTokenizer

__all__ = ["Encoding", "MoleculeError", "MoleculeTokenizer"]
