"""AlphaFold DB: predicted structures of the proteins in UniProt, with how sure each residue is.

From https://alphafold.ebi.ac.uk/download, licence CC BY 4.0: tar archives of proteomes, each with
its models as mmCIF and as PDB (`AF-P12345-F1-model_v4.cif.gz`), of Swiss-Prot in one of the two; of
all organisms, as mmCIF, at gs://public-datasets-deepmind-alphafold-v4
(`proteome-tax_id-9606-0_v4.tar`); or such files in a folder. A protein of more than 2,700 residues
is there in overlapping fragments (F1, F2, ...), each a model of its own. The pLDDT of a residue, 0
to 100, stands for the B-factor of its atoms. Read are the backbone, the pLDDT and the protein's
name out of the title.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.chains import Chain, Limits
from biomatrix_jax.structure.protein.files import Entry
from data_pipeline.formats.archives import members
from data_pipeline.records import ProteinRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.structures import chains, check_plddt, plddt
from data_pipeline.sources.tally import Tally

_VERSION = re.compile(r"-model_v\d+", re.IGNORECASE)
# "AlphaFold monomer v2.0 prediction for Titin (Q8WZ42)", in PDB files in capitals.
_TITLE = re.compile(r"AlphaFold .*?prediction for (.*?)(?: \([A-Z0-9-]+\))?", re.IGNORECASE)
# PDB files break a long title after a hyphen too: "DOMAIN- CONTAINING", but "PRE- AND".
_BROKEN = re.compile(r"(?<=\w-) (?!(?:and|or)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Options(Limits, Limited):
    """Which models to read.

    Attributes:
      format: those of archives and folders that are in this format; most have the same in both.
      min_plddt: drop a model with a lower mean.
    """

    format: Literal["cif", "pdb"] = "cif"
    min_plddt: float = 0

    def __post_init__(self):
        Limits.__post_init__(self)
        Limited.__post_init__(self)
        check_plddt(self.min_plddt)


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "afdb", (".tar", f".{options.format}"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[ProteinRecord]:
    """One record per model, called `AF-<accession>-F<fragment>_<chain>`."""

    def record(identifier: str, found: tuple[Entry, Chain]) -> ProteinRecord:
        entry, chain = found
        whole = _BROKEN.sub("", entry.title)
        title = _TITLE.fullmatch(whole)
        return ProteinRecord(
            id=_VERSION.sub("", identifier),
            chain=chain.id,
            sequence=chain.sequence,
            backbone=chain.backbone,
            title=title[1] if title else whole,
            confidence=plddt(chain, options.min_plddt),
        )

    yield from records(options.first(_chains(file, options)), record, tally)


def _chains(file: Path, options: Options) -> Iterator[tuple[str, tuple[Entry, Chain] | BadInput]]:
    if ".tar" not in file.suffixes:
        yield from chains(file, None, options)
        return
    endings = (f".{options.format}", f".{options.format}.gz")
    name = None
    for name, content in members(file, endings):
        yield from chains(Path(name), content, options)
    if name is None:
        raise BadInput(f"{file}: no model that ends in {' or '.join(endings)}: set format")
