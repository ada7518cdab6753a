"""The first pass: a few bytes for each record of some input files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipeline import near_duplicates, sources
from data_pipeline.recipe import Recipe, reader_options
from data_pipeline.records import InterleavedRecord, Record, TextRecord
from data_pipeline.removal.identity import KEY_BYTES, entity_keys, record_key
from data_pipeline.sources.tally import Tally

FOLDER = "keys"
# What is written for some files, each a .npy: keys of records and of entities, signatures of texts;
# the latter two with the number of the record that each belongs to.
PARTS = ("records", "entities", "entity_of", "signatures", "signature_of")


@dataclass(frozen=True)
class KeysTask:
    """Writes the keys of the records of some files of a source, as far as a recipe needs them."""

    recipe: Recipe
    source: int
    number: int
    inputs: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{FOLDER}-{self.recipe.sources[self.source].name}-{self.number:05}"


@dataclass(frozen=True)
class KeysAccount:
    """What became of a KeysTask."""

    fingerprint: str
    records: int


def make_keys(task: KeysTask, directory: Path, fingerprint: str) -> KeysAccount:
    """Does a task: writes PARTS to `directory`/keys/."""
    removal = task.recipe.removal
    records: list[bytes] = []
    entities: list[bytes] = []
    signatures: list[bytes] = []
    entity_of, signature_of = [], []
    number = 0
    for number, record in enumerate(_records(task), start=1):
        if removal.duplicates:
            records.append(record_key(record))
        if removal.evaluation_sets:
            own = list(entity_keys(record))
            entities += own
            entity_of += [number - 1] * len(own)
        if removal.near_duplicates and isinstance(record, TextRecord | InterleavedRecord):
            signatures.append(near_duplicates.signature(record.text))
            signature_of.append(number - 1)
    folder = directory / FOLDER
    folder.mkdir(exist_ok=True)
    arrays = (
        _bytes(records, KEY_BYTES),
        _bytes(entities, KEY_BYTES),
        np.array(entity_of, np.int64),
        _bytes(signatures, near_duplicates.SIGNATURE_BYTES),
        np.array(signature_of, np.int64),
    )
    for part, array in zip(PARTS, arrays, strict=True):
        np.save(place(directory, task, part), array)
    return KeysAccount(fingerprint, number)


def place(directory: Path, task: KeysTask, part: str) -> Path:
    return directory / FOLDER / f"{task.name}.{part}.npy"


def written(directory: Path, task: KeysTask) -> bool:
    """Whether what a task writes is there."""
    return all(place(directory, task, part).is_file() for part in PARTS)


def _bytes(rows: list[bytes], width: int) -> np.ndarray:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, width)


def _records(task: KeysTask) -> Iterator[Record]:
    source = task.recipe.sources[task.source]
    files = [Path(path) for path in task.inputs]
    return sources.read_files(source.reader, files, reader_options(source), Tally())
