"""Input files -> a shard of documents: read, compose, turn into tokens, and account for it all."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from biomatrix_jax.data.manifest import DOCUMENTS, DocumentsEntry, InputsEntry
from biomatrix_jax.data.rows import Row
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import MODALITIES, Vocabulary
from data_pipeline import context, listing
from data_pipeline.composition import Instance, compose
from data_pipeline.removal.decide import Verdict
from data_pipeline.shards import is_whole, write_shard
from data_pipeline.sources.tally import Tally
from data_pipeline.tasks import FilesTask, Places

RECORD_TOKENS = 2**16  # about so many tokens of whole documents lie in a record


@dataclass(frozen=True)
class DocumentsAccount:
    """What became of a DocumentsTask; the counts are those of `SourceEntry`."""

    fingerprint: str
    inputs: InputsEntry
    records: int
    used: int
    dropped: dict[str, int]
    lost: dict[str, int]
    instances: int
    rejected: dict[str, int]
    examples: dict[str, str]
    fields: tuple[str, ...]  # of composites, whether drawn or not
    documents: int
    tokens: dict[str, int]
    shard: DocumentsEntry | None  # None: nothing came of it


@dataclass(frozen=True)
class DocumentsTask(FilesTask):
    """Makes documents of some files of a source.

    A view that the vocabulary cannot spell is lost, an instance whose text it cannot is rejected;
    both are counted by reason.
    """

    verdict: Verdict | None = None  # on which records to leave out

    account: ClassVar[type] = DocumentsAccount

    @property
    def name(self) -> str:
        return f"{DOCUMENTS}-{self.source_recipe.name}-{self.number:05}"

    @property
    def shard(self) -> str:
        """Its path within the data directory."""
        return f"{DOCUMENTS}/{self.source_recipe.name}-{self.number:05}.arrayrecord"

    def decided_by(self) -> Any:
        left_out = self.verdict and [self.verdict.sha256, self.verdict.reasons]
        return [self.reading(), self.recipe.seed, left_out]

    def is_there(self, account: DocumentsAccount, places: Places) -> bool:
        return account.shard is None or is_whole(places.data, account.shard)

    def do(self, places: Places, fingerprint: str) -> DocumentsAccount:
        tools, counts = context.load(self.recipe), _Counts()
        records = self.records(counts.read)
        if self.verdict:
            records = self.verdict.keep(records, counts.composed)
        instances = compose(
            records,
            self.source_recipe.composition,
            self.recipe.seed,
            counts.composed,
            tokenizers=tools.structure_tokenizers,
            spells=tools.spells,
            fields=counts.fields,
        )
        sizes: list[int] = []
        made = gathered(encoded(instances, tools.vocabulary, counts), self.source, sizes)
        written = write_shard(made, places.data / self.shard)
        shard = None
        if written:
            shard = DocumentsEntry(
                path=self.shard,
                source=self.source_recipe.name,
                records=written.records,
                record_tokens=tuple(sizes),
                bytes=written.bytes,
                sha256=written.sha256,
            )
        return DocumentsAccount(
            fingerprint=fingerprint,
            inputs=listing.hashed((file.name, file) for file in self.files),
            records=counts.read.records_in,
            used=counts.composed.records_out,
            dropped=_sorted(counts.read.dropped + counts.composed.dropped),
            lost=_sorted(counts.read.lost + counts.composed.lost),
            instances=counts.encoded.records_in,
            rejected=_sorted(counts.encoded.dropped),
            fields=tuple(sorted(counts.fields)),
            examples=_sorted(counts.encoded.first | counts.composed.first | counts.read.first),
            documents=counts.encoded.records_out,
            tokens=written.tokens if written else dict.fromkeys(MODALITIES, 0),
            shard=shard,
        )


@dataclass
class _Counts:
    """What happens on the way, stage by stage, and what is met there."""

    read: Tally = field(default_factory=Tally)  # of records
    composed: Tally = field(default_factory=Tally)  # of records
    encoded: Tally = field(default_factory=Tally)  # of instances
    fields: set[str] = field(default_factory=set)  # see DocumentsAccount


def encoded(
    instances: Iterable[Instance], vocabulary: Vocabulary, counts: _Counts
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each instance as a document: tokens int32 [n], the last the end of a document, and the
    modality uint8 [n] of each."""
    for instance in instances:
        counts.encoded.begin()
        try:
            tokens, modality = vocabulary.encode_with_modality(instance)
        except BadInput as error:
            counts.encoded.drop(*_rejection(instance, vocabulary, error))
            continue
        if not len(tokens):
            counts.encoded.drop("empty", "an empty text")
            continue
        counts.encoded.keep()
        tokens, modality = np.append(tokens, vocabulary.eos_id), np.append(modality, modality[-1])
        if not 0 <= tokens.min() <= tokens.max() < vocabulary.size:
            raise BadInput(
                f"{vocabulary.path}: gives ids up to {tokens.max()}, beyond its {vocabulary.size}"
            )
        yield tokens.astype(np.int32, copy=False), modality.astype(np.uint8, copy=False)


def gathered(
    documents: Iterable[tuple[np.ndarray, np.ndarray]], source: int, sizes: list[int]
) -> Iterator[Row]:
    """Whole documents in records of about RECORD_TOKENS; `sizes` gets the tokens of each."""
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    tokens = 0
    for document in documents:
        waiting.append(document)
        tokens += len(document[0])
        if tokens >= RECORD_TOKENS:
            yield _record(waiting, source)
            sizes.append(tokens)
            waiting, tokens = [], 0
    if waiting:
        yield _record(waiting, source)
        sizes.append(tokens)


def _record(documents: list[tuple[np.ndarray, np.ndarray]], source: int) -> Row:
    tokens, modality = (np.concatenate(arrays) for arrays in zip(*documents, strict=True))
    lengths = np.array([len(one) for one, _ in documents])
    return Row(tokens, modality, lengths, np.full(len(lengths), source))


def _rejection(instance: Instance, vocabulary: Vocabulary, error: BadInput) -> tuple[str, str]:
    """Why an instance has no ids, by the first segment that has none alone; and the full story."""
    for segment in instance:
        try:
            vocabulary.encode([segment])
        except BadInput as own:
            return f"{segment.modality} that the vocabulary cannot spell", str(own)
    return "segments that the vocabulary cannot spell together", str(error)


def _sorted(mapping: Counter | dict) -> dict:
    return dict(sorted(mapping.items()))
