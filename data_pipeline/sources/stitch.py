"""STITCH: links between chemicals and proteins, each with a score for how sure they are.

From http://stitch.embl.de (Download), version 5.0, under the terms of its page on licensing: tables
of tab-separated fields after a header, whole or of one species
(`9606.protein_chemical.links.v5.0.tsv.gz`):

  protein_chemical.links           chemical, protein, combined_score
  protein_chemical.links.detailed  with experimental, prediction, database, textmining before it
  protein_chemical.links.transfer  with each of these as _direct and _transferred (from orthologs)

Scores are a thousand times a probability. Chemicals are PubChem CIDs: CIDs... with its stereo,
CIDm... merged with all its isomers; `chemicals.v5.0.tsv.gz`, from there as well, says what they are
(chemical, name, molecular_weight, SMILES_string; long names are cut). Proteins are those of STRING
10, `<taxon>.<Ensembl id>`; their sequences are in `protein.sequences.v10.fa.gz` of STRING
(https://string-db.org), FASTA with headers that begin with the id.

Both files have many million entries, of which links ask for some, in any order and again and again;
so they are looked up on disk, see `formats.lookup`. The indexes are built once, when the files of
links are listed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import fasta, lookup
from data_pipeline.formats.lines import table
from data_pipeline.records import InteractionRecord, ProteinRecord
from data_pipeline.sources.columns import Column, whole
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.interactions import each
from data_pipeline.sources.measurements import properties
from data_pipeline.sources.molecules import from_smiles
from data_pipeline.sources.options import Limited
from data_pipeline.sources.sequences import checked
from data_pipeline.sources.tally import Tally

SCORE = "combined_score"
CHANNELS = ("experimental", "prediction", "database", "textmining")


@dataclass(frozen=True)
class Options(Limited):
    """Where chemicals and proteins are, and which links to read.

    Attributes:
      chemicals: path of the table of chemicals; must be given.
      sequences: path of the FASTA file of proteins; must be given.
      indexes: the folder for the indexes of both; beside each of them where it is not given.
      min_score: drop links with a lower combined score. STITCH calls 150 low, 400 medium, 700 high
        and 900 highest confidence.
    """

    chemicals: str | None = None
    sequences: str | None = None
    indexes: str | None = None
    min_score: int = 700

    beside: ClassVar[tuple[str, ...]] = ("chemicals", "sequences")

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.min_score <= 1000:
            raise BadInput(f"min_score goes from 0 to 1000, not {self.min_score}")


def inputs(path: str | None, options: Options) -> list[Path]:
    files = corpus_files(path, "stitch", (".tsv",))
    _indexes(options)
    return files


def read(file: Path, options: Options, tally: Tally) -> Iterator[InteractionRecord]:
    """One record per link, with the channels of its score that have evidence (0 means none)."""
    chemicals, sequences = _indexes(options)
    with lookup.opened(chemicals) as smiles, lookup.opened(sequences) as proteins:
        reader = _Reader(smiles, proteins, options.min_score)
        entries = table(file, ("chemical", "protein", SCORE))
        yield from each(entries, options, tally, reader.name, reader.interaction)


def _indexes(options: Options) -> tuple[Path, Path]:
    for option in ("chemicals", "sequences"):
        if not getattr(options, option):
            raise BadInput(f"stitch: give {option}, the path of a file: links have only ids")
    return (
        lookup.build(options.chemicals, options.indexes, _chemicals),
        lookup.build(options.sequences, options.indexes, _sequences),
    )


def _chemicals(path: str | Path) -> Iterator[tuple[str, str, str]]:
    for _, row in table(path, ("chemical", "name", "SMILES_string")):
        if isinstance(row, dict):  # links to others will be dropped, and counted
            yield row["chemical"], row["SMILES_string"], row["name"]


def _sequences(path: str | Path) -> Iterator[tuple[str, str]]:
    for _, entry in fasta.entries(path):
        if isinstance(entry, tuple):
            header, sequence = entry
            yield header.split(" ", 1)[0], sequence


@dataclass(frozen=True)
class _Reader:
    chemicals: lookup.Lookup
    proteins: lookup.Lookup
    min_score: int

    @staticmethod
    def name(row: dict[str, str]) -> str:
        return f"{row['chemical']}-{row['protein']}"

    def interaction(
        self, row: dict[str, str], identifier: str
    ) -> tuple[InteractionRecord, Iterable[str]]:
        score = whole(row[SCORE])
        if score is None:
            raise BadInput(f"{SCORE} is not a number")
        if score < self.min_score:
            raise BadInput(f"{SCORE} below {self.min_score}")
        chemical = self.chemicals.get(row["chemical"])
        if chemical is None:
            raise BadInput("chemical is not in the table of chemicals, or not readable there")
        sequence = self.proteins.get(row["protein"])
        if sequence is None:
            raise BadInput("protein is not among the sequences, or not readable there")
        smiles, name = chemical
        molecule = from_smiles(smiles, row["chemical"], name)
        protein = ProteinRecord(row["protein"], "", checked(sequence[0]), None, "")
        scores, lost = properties(row, _scores(row))
        return InteractionRecord(identifier, (protein, molecule), scores), lost


def _scores(row: dict[str, str]) -> Iterator[Column]:
    """The scores that a link has; a name as in "STITCH textmining score, transferred"."""
    yield Column(SCORE, "STITCH combined score")
    for column, value in row.items():
        channel, _, origin = column.partition("_")
        if channel in CHANNELS and value.strip("0"):
            origin = f", {origin}" if origin else ""
            yield Column(column, f"STITCH {channel} score{origin}")
