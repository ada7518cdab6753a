"""UniProtKB: Swiss-Prot, annotated by people, and TrEMBL, by programs.

From https://www.uniprot.org/help/downloads: `uniprot_sprot` and `uniprot_trembl`, as flat file
(`.dat.gz`) or XML (`.xml.gz`), licence CC BY 4.0; the same is read from either. Of each entry: the
sequence; the recommended name, or what the submitter calls the protein, as the title; other names,
genes, organism, EC numbers, comments, GO terms and keywords, each under a plain label. What is left
out of them is in `formats.uniprot`. FASTA (`.fasta.gz`) has of these the sequence, that name, one
gene and the organism.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary
from biomatrix_jax.structure.protein.chains import Limits
from data_pipeline.formats import uniprot_fasta, uniprot_flat, uniprot_xml
from data_pipeline.formats.uniprot import ASPECTS, TOPICS, Entry
from data_pipeline.records import ProteinRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.remembered import remembered
from data_pipeline.sources.sequences import checked
from data_pipeline.sources.structures import chains, check_plddt, models, plddt
from data_pipeline.sources.tally import Tally

_SYNTAX = {b"<": uniprot_xml, b">": uniprot_fasta}  # by the first character


@dataclass(frozen=True)
class Options(Limits, Limited):
    """Where structures are, and which of them are usable; sequences have no limits.

    Attributes:
      structures: a folder of models, `AF-<accession>-F1-model_v4.cif.gz` and the like; none if not
        given.
      min_plddt: a model with a lower mean is left out.
    """

    structures: str | None = None
    min_plddt: float = 0

    beside: ClassVar[tuple[str, ...]] = ("structures",)

    def __post_init__(self):
        Limits.__post_init__(self)
        Limited.__post_init__(self)
        check_plddt(self.min_plddt)


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "uniprot", (".dat", ".txt", ".xml", ".fasta", ".fa"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[ProteinRecord]:
    """One record per entry, called by its accession."""
    with open_binary(file) as begin:
        syntax = _SYNTAX.get(begin.read(64).lstrip()[:1], uniprot_flat)
    folder = _models(options.structures) if options.structures else None

    def record(accession: str, entry: Entry) -> ProteinRecord:
        sequence = checked(entry.sequence)
        if not entry.names:
            tally.lose("no name", accession)
        title = entry.names[0] if entry.names else ""
        backbone = confidence = None
        if folder is not None:
            try:
                backbone, confidence = _structure(sequence, folder.get(accession), options)
            except BadInput as error:
                tally.lose(f"structure: {error}", accession)
        return ProteinRecord(
            accession, "", sequence, backbone, title, texts(entry), confidence=confidence
        )

    yield from records(options.first(syntax.entries(file)), record, tally)


# A folder of half a million models takes seconds to list, and a corpus may be in many files.
_models = remembered(models)


def _structure(
    sequence: str, model: Path | None, options: Options
) -> tuple[np.ndarray, np.ndarray]:
    """Backbone [L, 4, 3] and pLDDT [L] of the model; raises BadInput with why there are none."""
    if model is None:
        raise BadInput("no model")
    [(_, found), *more] = chains(model, None, options)
    if isinstance(found, BadInput):
        raise found
    _, chain = found
    if more or chain.sequence != sequence:
        raise BadInput("of another sequence")
    return chain.backbone, plddt(chain, options.min_plddt)


def texts(entry: Entry) -> Mapping[str, str]:
    """The pieces of text of an entry by their labels, in the order of the lines of a flat file.

    Names, terms and the like are joined by semicolons, comments on one topic are one text.
    """
    pieces = {
        "Other names": "; ".join(entry.names[1:]),
        "EC number": "; ".join(entry.ec_numbers),
        "Gene": "; ".join(entry.genes),
        "Organism": entry.organism,
    }
    for topic, text in entry.comments:
        label = TOPICS[topic]
        pieces[label] = f"{pieces[label]} {text}" if label in pieces else text
    for aspect, label in ASPECTS.items():
        pieces[label] = "; ".join(term for one, term in entry.go if one == aspect)
    pieces["Keywords"] = "; ".join(entry.keywords)
    return {label: text for label, text in pieces.items() if text}
