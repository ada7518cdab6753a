"""What tasks share within a process: the vocabulary and the structure tokenizers of a recipe."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.packaged import tokenizer_path
from biomatrix_jax.tokens import Segment, Vocabulary, families
from data_pipeline import listing
from data_pipeline.composition.views import StructureTokenizers
from data_pipeline.recipe import Recipe


@dataclass(frozen=True)
class Context:
    """Loaded tokenizers."""

    vocabulary: Vocabulary
    structure_tokenizers: StructureTokenizers

    def spells(self, segment: Segment) -> bool:
        """Whether the vocabulary has all tokens of a segment."""
        try:
            self.vocabulary.encode([segment])
        except BadInput:
            return False
        return True


def load(recipe: Recipe) -> Context:
    """The tokenizers of a recipe, loaded once in each process, and again where files changed."""
    vocabulary = _load_vocabulary(recipe.tokenizer, _state(Path(recipe.tokenizer)))
    return Context(vocabulary, load_structure_tokenizers(recipe))


def structure_tokenizer_paths(recipe: Recipe) -> dict[str, Path]:
    """Where those lie that the recipe names, by what they are of."""
    named = {"molecule": recipe.molecule_tokenizer, "protein": recipe.protein_tokenizer}
    return {kind: tokenizer_path(kind, path) for kind, path in named.items() if path}


def end_tokens(vocabulary: Vocabulary) -> np.ndarray:
    """The ids that end a segment."""
    return vocabulary.tokens_of(families.CONTROL)[1::2]  # start and end tokens take turns


def load_structure_tokenizers(recipe: Recipe) -> StructureTokenizers:
    """Those of a recipe, loaded once in each process, and again where files changed."""
    states = tuple((kind, _state(path)) for kind, path in structure_tokenizer_paths(recipe).items())
    return _load_structure_tokenizers(recipe.molecule_tokenizer, recipe.protein_tokenizer, states)


def _state(path: Path) -> str:
    return listing.digest([path]) if path.exists() else ""  # whoever loads it says what is missing


# What is cached for is what was there: a process may build again with other files in their place.
@lru_cache(maxsize=1)
def _load_vocabulary(path: str, state: str) -> Vocabulary:
    return Vocabulary.from_pretrained(path)


@lru_cache(maxsize=1)
def _load_structure_tokenizers(molecule: str, protein: str, states: tuple) -> StructureTokenizers:
    molecule_tokenizer = protein_tokenizer = None
    if molecule:
        from biomatrix_jax.structure.molecule import MoleculeTokenizer

        path = tokenizer_path("molecule", molecule)
        molecule_tokenizer = MoleculeTokenizer.from_pretrained(path)
    if protein:
        from biomatrix_jax.structure.protein import ProteinTokenizer

        path = tokenizer_path("protein", protein)
        protein_tokenizer = ProteinTokenizer.from_pretrained(path)
    return StructureTokenizers(molecule_tokenizer, protein_tokenizer)
