"""AlphaSeq: affinities of pairs of proteins, as a yeast mating assay of A-Alpha Bio gives them.

Two publications, told apart by their columns:

- Antibodies (scFv) against a peptide of SARS-CoV-2, by MIT Lincoln Laboratory,
  https://github.com/mit-ll/AlphaSeq_Antibody_Dataset, CC BY-NC-SA 4.0: two CSV files, zipped, to be
  unpacked. Columns POI (the antibody's label), Sequence, Target, Assay, Replicate, Pred_affinity
  and more. The target is a label only, `MIT_Target` or that of a negative control: sequences for
  them come from `targets`. Lines of a notice may stand before the header.
- Open AlphaSeq, https://huggingface.co/datasets/aalphabio/open-alphaseq: libraries of antibodies
  against several antigens, `data/YM_<number>/data.parquet`, formerly CSV. Columns mata_description,
  mata_sequence, matalpha_description, matalpha_sequence, alphaseq_affinity and more.

Affinities are log10 of the dissociation constant in nM. A row without one is a pair that was not
seen to bind; how weakly it does is not said, so it is dropped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import fasta, parquet
from data_pipeline.formats.lines import numbered, split_rows
from data_pipeline.records import InteractionRecord
from data_pipeline.sources.columns import Column
from data_pipeline.sources.inputs import corpus_files, stem
from data_pipeline.sources.interactions import each, protein
from data_pipeline.sources.measurements import properties
from data_pipeline.sources.options import Limited
from data_pipeline.sources.sequences import checked
from data_pipeline.sources.tally import Tally

LABELLED = ("POI", "Sequence", "Target", "Assay", "Replicate", "Pred_affinity")
OPEN = ("mata_sequence", "matalpha_sequence", "matalpha_description", "alphaseq_affinity")
NOTICE = 20  # lines that may stand before the header


@dataclass(frozen=True)
class Options(Limited):
    """How much to read, and what targets are.

    Attributes:
      targets: path of a FASTA file whose headers are the labels of targets, for files that have no
        sequences of them; rows with other targets are dropped.
    """

    targets: str | None = None

    beside: ClassVar[tuple[str, ...]] = ("targets",)


class _Pair(NamedTuple):
    id: str
    binder: str
    target: str
    title: str  # of the target
    affinity: Any
    column: str  # of the affinity


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "alphaseq", (".csv", ".parquet"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[InteractionRecord]:
    """One record per row with an affinity: each replicate of a measurement is one."""
    if file.suffix == ".parquet":
        pairs = _open(file, parquet.rows(file, OPEN))
    elif (columns := _columns(file)) is OPEN:
        pairs = _open(file, _csv(file, columns))
    elif options.targets:
        pairs = _labelled(file, _csv(file, columns), _targets(options.targets))
    else:
        raise BadInput(f"{file}: has only the names of targets: give targets, a FASTA file of them")
    return each(pairs, options, tally, lambda pair: pair.id, _interaction)


def _columns(file: Path) -> tuple[str, ...]:
    """Those of the publication that a CSV file belongs to."""
    for _, line in islice(numbered(file), NOTICE + 1):
        for columns in (LABELLED, OPEN):
            if columns[-1].encode() in line:
                return columns
    raise BadInput(f"{file}: no column {LABELLED[-1]!r} and no column {OPEN[-1]!r}")


def _csv(
    file: Path, columns: tuple[str, ...]
) -> Iterator[tuple[str, Mapping[str, str] | BadInput]]:
    header, rows = split_rows(file, columns, ",", NOTICE)
    for where, row in rows:
        if isinstance(row, list) and len(row) != len(header):
            row = BadInput("not as many fields as the header has")
        yield where, row if isinstance(row, BadInput) else dict(zip(header, row, strict=True))


def _targets(path: str) -> dict[str, str]:
    """Sequences by label; there are a handful."""
    found = {}
    for where, entry in fasta.entries(path):
        try:
            if isinstance(entry, BadInput):
                raise entry
            found[entry[0]] = checked(entry[1])
        except BadInput as error:
            raise BadInput(f"{path}: {where}: {error}") from None
    return found


def _labelled(
    file: Path,
    rows: Iterator[tuple[str, Mapping[str, str] | BadInput]],
    targets: Mapping[str, str],
) -> Iterator[tuple[str, _Pair | BadInput]]:
    for where, row in rows:
        if isinstance(row, BadInput):
            yield where, row
            continue
        poi, sequence, target, assay, replicate, affinity = (row[column] for column in LABELLED)
        name = ":".join((stem(file), poi, target, assay, replicate))
        known = targets.get(target, "")
        yield where, _Pair(name, sequence, known, target, affinity, LABELLED[-1])


def _open(
    file: Path, rows: Iterator[tuple[str, Mapping[str, Any] | BadInput]]
) -> Iterator[tuple[str, _Pair | BadInput]]:
    for where, row in rows:
        if isinstance(row, BadInput):
            yield where, row
            continue
        binder, target, title, affinity = (row[column] for column in OPEN)
        # All the files are called data.parquet, each in the folder of its experiment.
        name = f"alphaseq:{file.absolute().parent.name}/{where}"
        yield where, _Pair(name, binder or "", target or "", title or "", affinity, OPEN[-1])


def _interaction(pair: _Pair, identifier: str) -> tuple[InteractionRecord, list[str]]:
    affinity, lost = properties(
        {pair.column: pair.affinity}, [Column(pair.column, "log10(Kd in nM)")]
    )
    if not affinity:
        raise BadInput("no measurement")
    if not pair.target:
        raise BadInput("target has no sequence")
    partners = protein(pair.binder), protein(pair.target, pair.title)
    return InteractionRecord(identifier, partners, affinity), lost
