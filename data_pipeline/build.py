"""A recipe -> a data directory: read, compose, tokenize, pack, write, and account for every record.

    corpus -> records -> instances of segments -> documents of tokens -> rows -> shards

Everything is streamed; what is held at a time is one window of documents (see `pack`). Nothing in
the shards depends on the time, the machine or the number of threads: building twice gives the same
bytes.
"""

import importlib.metadata
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from biomatrix_jax.config import from_dict
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest, Packing, ShardEntry, SourceEntry, VocabularyEntry
from biomatrix_jax.display import Display
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, check_absent, sha256
from biomatrix_jax.structure.packaged import tokenizer_path
from biomatrix_jax.tokens import MODALITIES, Segment, Vocabulary, families
from data_pipeline import pack, sources
from data_pipeline import recipe as recipes
from data_pipeline.compose import Instance, compose
from data_pipeline.pack import Document
from data_pipeline.recipe import Recipe, SourceRecipe
from data_pipeline.records import Record
from data_pipeline.shards import ROWS_PER_SHARD, write_shards
from data_pipeline.sources.tally import Tally

# What decides the bytes of a shard, beyond the recipe and its inputs.
_PACKAGES = ("biomatrix-jax", "array-record", "numpy", "rdkit", "selfies", "tokenizers")

Progress = Callable[[str, int], None]  # gets a source's name and how many of its records were read


def build_from_file(
    path: str | os.PathLike, out: str | os.PathLike, overrides=(), *, overwrite: bool = False
) -> Manifest:
    """As `build`, from a recipe file or a shipped recipe's name; shows progress on standard error.

    Args:
      overrides: `key=value` changes to the recipe.
    """
    recipe = recipes.load(path, overrides)
    with Display(sys.stderr) as display:
        manifest = build(recipe, out, overwrite=overwrite, progress=display.show)
        for source in manifest.sources:
            display.line(_account(source))
    return manifest


def build(
    recipe: Recipe,
    out: str | os.PathLike,
    *,
    overwrite: bool = False,
    progress: Progress = lambda source, records: None,
) -> Manifest:
    """Builds a data directory; it appears when it is complete.

    An instance longer than a row is cut (see `pack.cut`). A view that the vocabulary cannot spell
    is lost, an instance whose text it cannot is rejected; both are counted by reason.

    Raises:
      BadInput: `out` exists; an unknown reader or option; a tokenizer or corpus that is missing or
        damaged; a source of which nothing can be packed.
    """
    check_absent(out, overwrite)
    options = [_reader_options(source) for source in recipe.sources]
    vocabulary = Vocabulary.from_pretrained(recipe.tokenizer)
    structure_tokenizers = _structure_tokenizers(recipe)
    molecule_tokenizer = _molecule_tokenizer(structure_tokenizers.get("molecule"))
    protein_tokenizer = _protein_tokenizer(structure_tokenizers.get("protein"))
    entries: list[SourceEntry] = []
    shards: list[ShardEntry] = []
    with atomic_directory(out, overwrite) as directory:
        for index, source in enumerate(recipe.sources):
            counts = _Counts()
            records = sources.read(source.reader, source.path or None, options[index], counts.read)
            instances = compose(
                _watched(records, source.name, progress),
                source.composition,
                recipe.seed,
                counts.composed,
                molecule_tokenizer=molecule_tokenizer,
                protein_tokenizer=protein_tokenizer,
                spells=partial(_spells, vocabulary),
            )
            documents = _documents(instances, vocabulary, recipe.row_length, counts)
            rows = pack.pack(documents, recipe.row_length, index, _window_tokens(recipe))
            written = write_shards(rows, directory, source.name)
            if not written:
                raise BadInput(
                    f"source {source.name}: nothing to pack (records: {counts.composed}; "
                    f"instances: {counts.encoded})"
                )
            entries.append(counts.entry(source.name, sum(shard.rows for shard in written)))
            shards += written
        manifest = Manifest(
            schema_version=manifests.SCHEMA_VERSION,
            row_length=recipe.row_length,
            seed=recipe.seed,
            vocabulary=_save_vocabulary(vocabulary, directory / manifests.TOKENIZER),
            packing=Packing(pack.ALGORITHM, _window_tokens(recipe)),
            sources=tuple(entries),
            shards=tuple(shards),
            structure_tokenizers={
                kind: _checksums(path) for kind, path in structure_tokenizers.items()
            },
            versions={name: importlib.metadata.version(name) for name in _PACKAGES},
        )
        manifests.write(manifest, directory)
    return manifest


@dataclass
class _Counts:
    """What happens to one source on its way, stage by stage."""

    read: Tally = field(default_factory=Tally)  # of records
    composed: Tally = field(default_factory=Tally)  # of records
    encoded: Tally = field(default_factory=Tally)  # of instances
    cut: int = 0
    documents: int = 0
    tokens: np.ndarray = field(default_factory=lambda: np.zeros(len(MODALITIES), np.int64))

    def entry(self, name: str, rows: int) -> SourceEntry:
        return SourceEntry(
            name=name,
            records=self.read.records_in,
            used=self.composed.records_out,
            dropped=_sorted(self.read.dropped + self.composed.dropped),
            lost=_sorted(self.read.lost + self.composed.lost),
            instances=self.encoded.records_in,
            rejected=_sorted(self.encoded.dropped),
            examples=_sorted(self.encoded.first | self.composed.first | self.read.first),
            cut=self.cut,
            documents=self.documents,
            tokens=dict(zip(MODALITIES, self.tokens.tolist(), strict=True)),
            rows=rows,
        )


def _documents(
    instances: Iterable[Instance], vocabulary: Vocabulary, row_length: int, counts: _Counts
) -> Iterator[Document]:
    """Instances as documents that each fit a row, ended by the end-of-document token."""
    ends = vocabulary.tokens_of(families.CONTROL)[1::2]  # start and end tokens take turns
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
        document = Document(tokens.astype(np.int32, copy=False), modality)
        parts = [document]
        if len(tokens) > row_length:
            parts = pack.cut(
                document._replace(segment_ends=_segment_ends(document, ends)), row_length
            )
            counts.cut += 1
        counts.documents += len(parts)
        counts.tokens += np.bincount(modality, minlength=len(MODALITIES))
        yield from parts


def _segment_ends(document: Document, end_tokens: np.ndarray) -> list[int]:
    """Behind each end token, and wherever the modality changes."""
    behind = np.isin(document.tokens[:-1], end_tokens)
    behind |= document.modality[:-1] != document.modality[1:]
    return (np.flatnonzero(behind) + 1).tolist()


def _rejection(instance: Instance, vocabulary: Vocabulary, error: BadInput) -> tuple[str, str]:
    """Why an instance has no ids, by the first segment that has none alone; and the full story."""
    for segment in instance:
        try:
            vocabulary.encode([segment])
        except BadInput as own:
            return f"{segment.modality} that the vocabulary cannot spell", str(own)
    return "segments that the vocabulary cannot spell together", str(error)


def _spells(vocabulary: Vocabulary, segment: Segment) -> bool:
    try:
        vocabulary.encode([segment])
    except BadInput:
        return False
    return True


def _watched(records: Iterable[Record], source: str, progress: Progress) -> Iterator[Record]:
    for number, record in enumerate(records, start=1):
        progress(source, number)
        yield record


def _reader_options(source: SourceRecipe) -> Any:
    reader = sources.reader(source.reader)
    return from_dict(reader.Options, source.options, f"source {source.name}, options")


def _structure_tokenizers(recipe: Recipe) -> dict[str, Path]:
    """Where those lie that the recipe names, by what they are of."""
    named = {"molecule": recipe.molecule_tokenizer, "protein": recipe.protein_tokenizer}
    return {kind: tokenizer_path(kind, path) for kind, path in named.items() if path}


def _molecule_tokenizer(path: Path | None):
    if path is None:
        return None
    from biomatrix_jax.structure.molecule import MoleculeTokenizer

    return MoleculeTokenizer.from_pretrained(path)


def _protein_tokenizer(path: Path | None):
    if path is None:
        return None
    from biomatrix_jax.structure.protein import ProteinTokenizer

    return ProteinTokenizer.from_pretrained(path)


def _checksums(path: Path) -> dict[str, str]:
    """The SHA-256 of a file, or of each in a directory and those below it, by name."""
    if path.is_file():
        return {path.name: sha256(path)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): sha256(file) for file in files}


def _save_vocabulary(vocabulary: Vocabulary, directory: Path) -> VocabularyEntry:
    directory.mkdir()
    vocabulary.save(directory)
    return VocabularyEntry(vocabulary.size, _checksums(directory))


def _window_tokens(recipe: Recipe) -> int:
    return ROWS_PER_SHARD * recipe.row_length


def _account(source: SourceEntry) -> str:
    """A line for people: what became of a source's records."""
    parts = [
        f"{source.name}: {source.records:,} records -> {source.documents:,} documents, "
        f"{source.total_tokens:,} tokens, {source.rows:,} rows"
    ]
    for word, counts in (
        ("dropped", source.dropped),
        ("lost", source.lost),
        ("rejected", source.rejected),
    ):
        parts += [f"{number:,} {word}: {reason}" for reason, number in counts.items()]
    return "; ".join(parts)


def _sorted(mapping: Counter | dict) -> dict:
    return dict(sorted(mapping.items()))
