"""UniProtKB: Swiss-Prot, annotated by people, and TrEMBL, by programs.

From https://www.uniprot.org/help/downloads: `uniprot_sprot` and `uniprot_trembl`, as flat file
(`.dat.gz`) or XML (`.xml.gz`), licence CC BY 4.0; the same is read from either. Of each entry: the
sequence; the recommended name, or what the submitter calls the protein, as the title; other names,
genes, organism, EC numbers, comments, GO terms and keywords, each under a plain label. What is left
out of them is in `formats.uniprot`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary
from data_pipeline.formats import uniprot_flat, uniprot_xml
from data_pipeline.formats.uniprot import ASPECTS, TOPICS, Entry
from data_pipeline.records import ProteinRecord
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.sequences import checked
from data_pipeline.sources.tally import Tally

Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "uniprot", (".dat", ".txt", ".xml"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[ProteinRecord]:
    """One record per entry, called by its accession."""
    with open_binary(file) as begin:
        syntax = uniprot_xml if begin.read(64).lstrip().startswith(b"<") else uniprot_flat
    for identifier, entry in options.first(syntax.entries(file)):
        tally.begin()
        try:
            if isinstance(entry, BadInput):
                raise entry
            sequence = checked(entry.sequence)
        except BadInput as error:
            tally.drop(str(error), identifier)
            continue
        if not entry.names:
            tally.lose("no name", identifier)
        tally.keep()
        title = entry.names[0] if entry.names else ""
        yield ProteinRecord(identifier, "", sequence, None, title, texts(entry))


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
