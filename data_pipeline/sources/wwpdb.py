"""Protein chains of wwPDB entries: PDB or mmCIF files, plain or gzipped, or those in the box."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import biomatrix_jax
from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.chains import Limits, read_chain
from biomatrix_jax.structure.protein.errors import ProteinError
from biomatrix_jax.structure.protein.files import parse, structure_files
from data_pipeline.records import ProteinRecord
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

IN_THE_BOX = Path(biomatrix_jax.__file__).parent / "assets/proteins"


@dataclass(frozen=True)
class Options(Limits, Limited):
    """Which chains are usable, and how many to read; a file that is damaged counts as one."""

    def __post_init__(self):
        Limits.__post_init__(self)
        Limited.__post_init__(self)


def inputs(path: str | None, options: Options) -> list[Path]:
    return list(structure_files(path or IN_THE_BOX))


def read(file: Path, options: Options, tally: Tally) -> Iterator[ProteinRecord]:
    """One record per chain of an entry's first model, called `<entry>_<chain>`."""
    try:
        entry = parse(file)
    except BadInput as error:
        tally.begin()
        tally.drop(_reason(error, file), str(file))
        return
    for chain in options.first(entry.chains):
        tally.begin()
        identifier = f"{entry.id}_{chain.id.strip()}"
        try:
            found = read_chain(chain, options)
        except BadInput as error:
            tally.drop(_reason(error, file), identifier)
            continue
        tally.keep()
        yield ProteinRecord(identifier, found.id, found.sequence, found.backbone, entry.title)


def _reason(error: BadInput, file: Path) -> str:
    if isinstance(error, ProteinError):
        return error.problem
    return str(error).removeprefix(f"{file}: ")
