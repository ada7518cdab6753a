"""The first pass: a few bytes for each record of some input files."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_pipeline.records import InterleavedRecord, TextRecord
from data_pipeline.removal import near_duplicates
from data_pipeline.removal.identity import KEY_BYTES, entity_keys, record_key, subject_key
from data_pipeline.sources.tally import Tally
from data_pipeline.tasks import FilesTask, Places

FOLDER = "keys"
# What is written for some files, each a .npy: keys of records and of entities, signatures of texts;
# the latter two with the number of the record that each belongs to.
PARTS = ("records", "entities", "entity_of", "signatures", "signature_of")


@dataclass(frozen=True)
class KeysAccount:
    """What became of a KeysTask."""

    fingerprint: str
    records: int


@dataclass(frozen=True)
class KeysTask(FilesTask):
    """Writes PARTS of the records of some files of a source, as far as a recipe needs them."""

    account: ClassVar[type] = KeysAccount

    @property
    def name(self) -> str:
        return f"{FOLDER}-{self.source_recipe.name}-{self.number:05}"

    def path(self, directory: Path, part: str) -> Path:
        """Of one of PARTS."""
        return directory / FOLDER / f"{self.name}.{part}.npy"

    def decided_by(self) -> Any:
        return [self.reading(), dataclasses.asdict(self.recipe.removal)]

    def is_there(self, account: KeysAccount, places: Places) -> bool:
        return all(self.path(places.data, part).is_file() for part in PARTS)

    def do(self, places: Places, fingerprint: str) -> KeysAccount:
        removal = self.recipe.removal
        records: list[bytes] = []
        entities: list[bytes] = []
        signatures: list[bytes] = []
        entity_of, signature_of = [], []
        count = 0
        for number, record in enumerate(self.records(Tally())):
            count = number + 1
            if removal.duplicates:
                records.append(subject_key(record) + record_key(record))
            if removal.evaluation_sets:
                own = list(entity_keys(record))
                entities += own
                entity_of += [number] * len(own)
            if removal.near_duplicates and isinstance(record, TextRecord | InterleavedRecord):
                signatures.append(near_duplicates.signature(record.text))
                signature_of.append(number)
        arrays = (
            _bytes(records, 2 * KEY_BYTES),
            _bytes(entities, KEY_BYTES),
            np.array(entity_of, np.int64),
            _bytes(signatures, near_duplicates.SIGNATURE_BYTES),
            np.array(signature_of, np.int64),
        )
        (places.data / FOLDER).mkdir(exist_ok=True)
        for part, array in zip(PARTS, arrays, strict=True):
            np.save(self.path(places.data, part), array)
        return KeysAccount(fingerprint, count)


def _bytes(rows: list[bytes], width: int) -> np.ndarray:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, width)
