"""The structure tokenizers that the package ships, under the name `default`."""

import os
from pathlib import Path
from typing import Literal

from biomatrix_jax.errors import BadInput

DEFAULT = "default"


def tokenizer_path(kind: Literal["molecule", "protein"], path: str | os.PathLike) -> Path:
    """`path` itself; for `default` the shipped tokenizer's directory. (`./default` is a path.)

    Raises:
      BadInput: the package ships none of this kind.
    """
    if str(path) != DEFAULT:
        return Path(path)
    # Installers may link each file of a package to a cache; there it lies among its own.
    shipped = Path(__file__).resolve().parents[1] / "assets" / f"{kind}_tokenizer"
    if not shipped.is_dir():
        raise BadInput(f"{shipped}: no {kind} tokenizer in this package: name a directory")
    return shipped
