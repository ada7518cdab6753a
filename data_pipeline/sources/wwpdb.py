"""Protein chains of wwPDB entries: those of files, or those in the box.

From https://www.wwpdb.org/ftp/pdb-ftp-sites, licence CC0: mmCIF (`1abc.cif.gz`), PDB
(`pdb1abc.ent.gz`, `1abc.pdb.gz`) or BinaryCIF (`1abc.bcif.gz`), plain or gzipped. Biological
assemblies (`1abc-assembly1.cif.gz`, `1abc.pdb1.gz`) are copies of the chains that an entry has, and
are not read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import biomatrix_jax
from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.chains import Chain, Limits
from biomatrix_jax.structure.protein.files import Entry, structure_files
from data_pipeline.records import ProteinRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.options import Limited
from data_pipeline.sources.structures import chains
from data_pipeline.sources.tally import Tally

IN_THE_BOX = Path(biomatrix_jax.__file__).parent / "assets/proteins"
_ASSEMBLY = re.compile(r"-assembly\d+\.|\.pdb\d+(\.|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Options(Limits, Limited):
    """Which chains are usable, and how many to read; a file that is damaged counts as one."""

    def __post_init__(self):
        Limits.__post_init__(self)
        Limited.__post_init__(self)


def inputs(path: str | None, options: Options) -> list[Path]:
    files = list(structure_files(path or IN_THE_BOX))
    if entries := [file for file in files if not _ASSEMBLY.search(file.name)]:
        return entries
    raise BadInput(f"{path}: biological assemblies only: take the entries themselves")


def read(file: Path, options: Options, tally: Tally) -> Iterator[ProteinRecord]:
    """One record per chain of an entry's first model, called `<entry>_<chain>`."""
    return records(options.first(chains(file, None, options)), _record, tally)


def _record(identifier: str, found: tuple[Entry, Chain]) -> ProteinRecord:
    entry, chain = found
    return ProteinRecord(identifier, chain.id, chain.sequence, chain.backbone, entry.title)
