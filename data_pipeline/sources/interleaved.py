"""Documents with the molecules and proteins that they mention, for interleaved text.

A corpus of interleaved text is made of two: documents, which any reader of text gives, and what
they mention. That comes from BERN2 or in the PubTator format, or else from a dictionary of names;
what a mention stands for is in a table (see `data_pipeline.entities`). Licences are those of the
documents and the table; the one in the box is described beside it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from biomatrix_jax.config import from_dict
from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.entities import bern2
from data_pipeline.entities.alignment import Alignment
from data_pipeline.entities.annotations import SUFFIXES, documents, open_annotations
from data_pipeline.entities.matcher import Matcher
from data_pipeline.entities.mentions import Found, mentions, resolved
from data_pipeline.entities.table import EntityTable, Unresolved, open_table
from data_pipeline.records import InterleavedRecord, TextRecord
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

ANNOTATED = "annotated"
Finder = Callable[[TextRecord, Callable[[str], None]], Iterator[Found]]


@dataclass(frozen=True)
class Options(Limited):
    """Where documents, mentions and entities come from.

    Attributes:
      documents: the reader of the documents at the recipe's path; "annotated": the path has files
        of BERN2 or PubTator, and their texts are the documents.
      document_options: what that reader may be told, but for its limit.
      annotations: a file of BERN2 or PubTator, or an SQLite file made of some, with the mentions
        of documents by their id; without it they are found by the names in the table.
      entities: the table of entities; without it the small one in the box.
      probability: annotations that are less probable to their tool are not used.
      first_mention_only: only the first mention of an entity in a document counts.
      mentioning_only: drop documents that mention nothing; else they go on as plain text.
    """

    documents: str = "text"
    document_options: dict[str, Any] = field(default_factory=dict)
    annotations: str | None = None
    entities: str | None = None
    probability: float = 0.0
    first_mention_only: bool = True
    mentioning_only: bool = False

    beside: ClassVar[tuple[str, ...]] = ("annotations", "entities")

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.probability <= 1:
            raise BadInput(f"probability must be from 0 to 1, not {self.probability}")
        if self.documents == ANNOTATED and self.annotations:
            raise BadInput("annotated documents have their own annotations: leave annotations out")
        if self.documents == ANNOTATED and self.document_options:
            raise BadInput("annotated documents have no reader of their own: no document_options")
        if self.documents == "interleaved":
            raise BadInput("documents cannot be those of interleaved itself: name a text reader")
        if "limit" in self.document_options:
            raise BadInput("document_options: the limit is that of interleaved itself")

    def paths_beside(self, inputs: Sequence[Path]) -> list[Path]:
        """Its own, and those of the documents' reader."""
        theirs = [] if self.documents == ANNOTATED else self.of_documents().paths_beside(inputs)
        return [*super().paths_beside(inputs), *theirs]

    def of_documents(self) -> Any:
        """The options of the documents' reader."""
        kind = sources.reader(self.documents).Options
        where = f"document_options of {self.documents}"
        return replace(from_dict(kind, self.document_options, where), limit=self.limit)


def inputs(path: str | None, options: Options) -> list[Path]:
    if options.documents == ANNOTATED:
        return corpus_files(path, "interleaved", SUFFIXES)
    return sources.reader(options.documents).inputs(path, options.of_documents())


def read(file: Path, options: Options, tally: Tally) -> Iterator[InterleavedRecord | TextRecord]:
    """One record per document; a TextRecord where nothing is mentioned.

    Mentions that lead to no entity, overlap a longer one or do not fit the text are counted as
    lost, and the text goes on without their strings.
    """
    table = open_table(options.entities)
    if options.documents == ANNOTATED:
        found = _annotated(file, options, table, tally)
    else:
        found = _read_apart(file, options, table, tally)
    for record, spans in found:
        if made := mentions(spans, options.first_mention_only):
            tally.keep()
            yield InterleavedRecord(record.id, record.title, record.text, made)
        elif options.mentioning_only:
            tally.drop("mentions no entity of the table", record.id)
        else:
            tally.keep()
            yield record


def _annotated(
    file: Path, options: Options, table: EntityTable, tally: Tally
) -> Iterator[tuple[TextRecord, Iterator[Found]]]:
    """The documents that annotations bring along."""
    for where, entry in options.first(documents(file)):
        tally.begin()
        lose = partial(_lose, tally, where)
        try:
            document = bern2.parse(entry, lose)
        except BadInput as error:
            tally.drop(str(error), where)
            continue
        record = TextRecord(document.key or where, "", document.text)
        yield record, resolved(document.annotations, table, options.probability, lose)


def _read_apart(
    file: Path, options: Options, table: EntityTable, tally: Tally
) -> Iterator[tuple[TextRecord, Iterator[Found]]]:
    """The documents of a reader of text, with what is found in them."""
    find = _by_annotation(options, table) if options.annotations else _by_name(table)
    inner = Tally()
    try:
        for record in _texts(file, options, inner):
            tally.begin()
            yield record, find(record, partial(_lose, tally, record.id))
    finally:  # what that reader dropped and lost was so here
        tally.records_in += inner.dropped.total()
        tally.dropped += inner.dropped
        tally.lost += inner.lost
        tally.first = inner.first | tally.first


def _texts(file: Path, options: Options, tally: Tally) -> Iterator[TextRecord]:
    for record in sources.reader(options.documents).read(file, options.of_documents(), tally):
        if not isinstance(record, TextRecord):
            raise BadInput(f"the reader {options.documents} gives no documents: name a text reader")
        yield record


def _by_name(table: EntityTable) -> Finder:
    matcher = Matcher(table.names())

    def find(record: TextRecord, lose: Callable[[str], None]) -> Iterator[Found]:
        for start, end, entity in matcher.find(record.text):
            try:
                yield start, end, table.canonical(entity)
            except Unresolved as error:
                lose(str(error))

    return find


def _by_annotation(options: Options, table: EntityTable) -> Finder:
    annotations = open_annotations(options.annotations)

    def find(record: TextRecord, lose: Callable[[str], None]) -> Iterator[Found]:
        try:
            if (entry := annotations.find(record.id)) is None:
                raise BadInput("no annotations of the document")
            document = bern2.parse(entry, lose)
            alignment = Alignment(document.text, record.text)
        except BadInput as error:
            lose(str(error))
            return
        for start, end, entity in resolved(document.annotations, table, options.probability, lose):
            if place := alignment.span(start, end):
                yield *place, entity
            else:
                lose("mention outside of the document")

    return find


def _lose(tally: Tally, record: str, reason: str) -> None:
    tally.lose(reason, record)
