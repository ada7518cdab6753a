"""GCP-VQVAE: protein backbones to tokens and back.

`ProteinTokenizer` is imported when first used: reading structure files, beside it, takes no JAX.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biomatrix_jax.structure.protein.tokenizer import ProteinTokenizer as ProteinTokenizer

__all__ = ["ProteinTokenizer"]


def __getattr__(name: str):
    if name != "ProteinTokenizer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from biomatrix_jax.structure.protein.tokenizer import ProteinTokenizer

    return ProteinTokenizer


def __dir__():
    return sorted(__all__)
