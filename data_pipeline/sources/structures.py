"""What readers of protein structures share: the chains of a file, and models of AlphaFold DB."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.chains import Chain, Limits, read_chain
from biomatrix_jax.structure.protein.errors import ProteinError
from biomatrix_jax.structure.protein.files import Entry, name_of, parse

# How a model of AlphaFold DB is called: fragments F1, F2, ... of a long protein are models of
# their own, and the version is the database's.
_MODEL = re.compile(r"AF-(?P<accession>.+)-F(?P<fragment>\d+)-model_v(?P<version>\d+)")


def chains(
    file: Path, content: bytes | None, limits: Limits
) -> Iterator[tuple[str, tuple[Entry, Chain] | BadInput]]:
    """The chains of a file's first model, called `<entry>_<chain>`, or why one is not usable.

    A file that cannot be read is one of them, called by its path; the reasons do not name it.

    Args:
      content: of the file, where it is a member of an archive.
    """
    try:
        entry = parse(file, content)
    except BadInput as error:
        yield str(file), BadInput(_reason(error, file))
        return
    for chain in entry.chains:
        found: tuple[Entry, Chain] | BadInput
        try:
            found = entry, read_chain(chain, limits)
        except BadInput as error:
            found = BadInput(_reason(error, file))
        yield f"{entry.id}_{chain.id.strip()}", found


def plddt(chain: Chain, least: float) -> np.ndarray:
    """The pLDDT of a predicted chain, float32 [L] from 0 to 100, which stands for the B-factors.

    Raises:
      BadInput: these are no pLDDT, or their mean is below `least`.
    """
    observed = ~np.isnan(chain.backbone).any(axis=(1, 2))
    values = chain.b_factors[observed]
    # A B-factor may be small too, but not everywhere; some programs write shares of 1.
    if not (values >= 0).all() or not (values <= 100).all() or values.max() <= 1:
        raise BadInput("B-factors that are no pLDDT (0 to 100)")
    if values.mean() < least:
        raise BadInput(f"mean pLDDT below {least:g}")
    return chain.b_factors


def models(folder: str) -> dict[str, Path]:
    """The model of each protein in a folder by accession: the newest, and mmCIF before others.

    Of a protein in fragments it is the first one, whose sequence is another.

    Raises:
      BadInput: there is no such folder, or no model in it.
    """
    if not Path(folder).is_dir():
        raise BadInput(f"{folder}: no such folder of models")
    found: dict[str, tuple[int, bool, Path]] = {}
    for file in Path(folder).iterdir():
        match = _MODEL.fullmatch(name_of(file))
        if match and match["fragment"] == "1":
            rank = int(match["version"]), ".cif" in file.suffixes, file
            found[match["accession"]] = max(rank, found.get(match["accession"], rank))
    if not found:
        raise BadInput(f"{folder}: no model called like AF-P12345-F1-model_v4.cif.gz")
    return {accession: file for accession, (*_, file) in found.items()}


def check_plddt(least: float) -> None:
    if not 0 <= least <= 100:
        raise BadInput(f"min_plddt must be from 0 to 100, not {least}")


def _reason(error: BadInput, file: Path) -> str:
    if isinstance(error, ProteinError):
        return error.problem
    return str(error).removeprefix(f"{file}: ")
