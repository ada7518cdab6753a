"""BioMatrix in JAX. Names are imported when first used, so that importing the package is instant.

import biomatrix_jax as bm
model = bm.load(path)                    # Decoder
bm.save(model, directory, files=path)    # a Hugging Face directory
vocabulary = bm.Vocabulary.from_pretrained(path)
ids = vocabulary.encode([bm.Text("Aspirin is "), bm.Smiles("CC(=O)Oc1ccccc1C(=O)O")])
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "BadInput": "biomatrix_jax.errors",
    "Decoder": "biomatrix_jax.model",
    "load": "biomatrix_jax.convert.load",
    "save": "biomatrix_jax.convert.exporter",
    "Vocabulary": "biomatrix_jax.tokens.vocabulary",
    "Text": "biomatrix_jax.tokens.segments",
    "Smiles": "biomatrix_jax.tokens.segments",
    "Selfies": "biomatrix_jax.tokens.segments",
    "Molecule3D": "biomatrix_jax.tokens.segments",
    "ProteinSequence": "biomatrix_jax.tokens.segments",
    "Protein3D": "biomatrix_jax.tokens.segments",
}
__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from biomatrix_jax.convert.exporter import save as save
    from biomatrix_jax.convert.load import load as load
    from biomatrix_jax.errors import BadInput as BadInput
    from biomatrix_jax.model import Decoder as Decoder
    from biomatrix_jax.tokens.segments import Molecule3D as Molecule3D
    from biomatrix_jax.tokens.segments import Protein3D as Protein3D
    from biomatrix_jax.tokens.segments import ProteinSequence as ProteinSequence
    from biomatrix_jax.tokens.segments import Selfies as Selfies
    from biomatrix_jax.tokens.segments import Smiles as Smiles
    from biomatrix_jax.tokens.segments import Text as Text
    from biomatrix_jax.tokens.vocabulary import Vocabulary as Vocabulary


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted(__all__)
