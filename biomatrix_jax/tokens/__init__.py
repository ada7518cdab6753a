"""The unified vocabulary: token families, typed segments, and segments to ids and back."""

from biomatrix_jax.tokens.extension import extend_tokenizer
from biomatrix_jax.tokens.parsing import Parsed, Problem
from biomatrix_jax.tokens.segments import (
    MODALITIES,
    Molecule3D,
    Protein3D,
    ProteinSequence,
    Segment,
    Selfies,
    Smiles,
    Text,
)
from biomatrix_jax.tokens.tokenizer_files import base_tokenizer_path
from biomatrix_jax.tokens.vocabulary import Vocabulary

__all__ = [
    "MODALITIES",
    "Molecule3D",
    "Parsed",
    "Problem",
    "Protein3D",
    "ProteinSequence",
    "Segment",
    "Selfies",
    "Smiles",
    "Text",
    "Vocabulary",
    "base_tokenizer_path",
    "extend_tokenizer",
]
