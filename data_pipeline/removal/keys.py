"""The first pass: a few bytes for each record of some input files."""

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_pipeline.records import InterleavedRecord, TextRecord
from data_pipeline.removal import near_duplicates, repetitions
from data_pipeline.removal.identity import KEY_BYTES, entity_keys, record_key, subject_key
from data_pipeline.removal.tables import Table
from data_pipeline.sources.tally import Tally
from data_pipeline.tasks import FilesTask, Places

FOLDER = "keys"
# What is written for some files, each a table: keys of records, of entities, signatures of texts;
# the latter two with the number of the record that each belongs to.
PARTS = {
    "records": repetitions.KEYS,
    "entities": np.dtype([("key", f"S{KEY_BYTES}"), ("record", "<i8")]),
    "signatures": near_duplicates.SIGNED,
}
_BUFFER = 2**20  # bytes


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
        return directory / FOLDER / f"{self.name}.{part}"

    def decided_by(self) -> Any:
        return [self.reading(), dataclasses.asdict(self.recipe.removal)]

    def is_there(self, account: KeysAccount, places: Places) -> bool:
        return all(self.path(places.data, part).is_file() for part in PARTS)

    def do(self, places: Places, fingerprint: str) -> KeysAccount:
        removal = self.recipe.removal
        (places.data / FOLDER).mkdir(exist_ok=True)
        count = 0
        with contextlib.ExitStack() as stack:
            records, entities, signatures = (
                stack.enter_context(open(self.path(places.data, part), "wb", _BUFFER))
                for part in PARTS
            )
            for number, record in enumerate(self.records(Tally())):
                count = number + 1
                own = np.int64(number).astype("<i8").tobytes()
                if removal.duplicates:
                    records.write(subject_key(record) + record_key(record))
                if removal.evaluation_sets:
                    entities.writelines(key + own for key in entity_keys(record))
                if removal.near_duplicates and isinstance(record, TextRecord | InterleavedRecord):
                    signatures.write(own + near_duplicates.signature(record.text))
        return KeysAccount(fingerprint, count)


def table(tasks: Sequence[KeysTask], directory: Path, part: str) -> Table:
    """One of PARTS of all tasks."""
    return Table([task.path(directory, part) for task in tasks], PARTS[part])
