"""Which records go, from the keys of all."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput
from data_pipeline.records import Record
from data_pipeline.removal import near_duplicates
from data_pipeline.removal.evaluation_sets import evaluation_keys
from data_pipeline.removal.identity import KEY_BYTES
from data_pipeline.removal.keys import FOLDER, KeysTask
from data_pipeline.removal.settings import Removal
from data_pipeline.sources.tally import Tally

BUCKETS = 16  # keys are compared a part of them at a time, to bound memory


@dataclass(frozen=True)
class Verdict:
    """Which records of some input files go: a file with an int16 for each of them, 0 where it
    stays, else the place of its reason, counted from 1."""

    path: str
    sha256: str  # of the file
    reasons: tuple[str, ...]

    def keep(self, records: Iterator[Record], tally: Tally) -> Iterator[Record]:
        """Those that stay; the others are begun and dropped in the tally.

        Raises:
          BadInput: there are more records than the verdict is about, or fewer.
        """
        codes = np.load(self.path, mmap_mode="r")
        number = 0
        for number, record in enumerate(records, start=1):
            if number > len(codes):
                break
            if code := codes[number - 1]:
                tally.begin()
                tally.drop(self.reasons[code - 1], record.id)
            else:
                yield record
        if number != len(codes):
            raise BadInput(
                f"{len(codes)} records were judged by {self.path}, and now there are others: "
                "leave the inputs as they are while they are read, and build again"
            )


def decide(
    removal: Removal, tasks: Sequence[KeysTask], counts: Sequence[int], directory: Path
) -> list[Verdict]:
    """The verdict on the records of each task.

    A record of an evaluation set goes for that reason, whatever else it is; of repetitions the
    first stays, in the order of the tasks.

    Args:
      counts: how many records each task found.
      directory: that holds the keys, and gets the verdicts.
    """
    names = [task.source_recipe.name for task in tasks]
    reasons = [f"in the evaluation set {one.name}" for one in removal.evaluation_sets]
    repeated, near = ({} for _ in range(2))
    for kind, said in ((repeated, "repeats a record of"), (near, "nearly repeats a text of")):
        for name in dict.fromkeys(names):
            reasons.append(f"{said} {name}")
            kind[name] = len(reasons)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    codes = np.zeros(starts[-1], np.int16)
    for number, one in enumerate(removal.evaluation_sets, start=1):
        _mark_entities(codes, _sorted_keys(evaluation_keys(one)), number, tasks, starts, directory)
    if removal.duplicates:
        for position, first in _repetitions(tasks, starts, directory):
            by = np.searchsorted(starts, first, side="right") - 1
            marks = np.array([repeated[names[i]] for i in by], np.int16)
            codes[position] = np.where(codes[position] == 0, marks, codes[position])
    if removal.near_duplicates:
        for position, first in _near(removal.near_duplicates, codes, tasks, starts, directory):
            codes[position] = near[names[np.searchsorted(starts, first, side="right") - 1]]
    return [
        _write(task, codes[starts[i] : starts[i + 1]], tuple(reasons), directory)
        for i, task in enumerate(tasks)
    ]


def _write(task: KeysTask, codes: np.ndarray, reasons: tuple[str, ...], directory: Path) -> Verdict:
    path = directory / FOLDER / f"{task.name}.removed.npy"
    np.save(path, codes)
    return Verdict(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), reasons)


def _mark_entities(codes, wanted, mark, tasks, starts, directory) -> None:
    for task, start in zip(tasks, starts, strict=False):
        keys = _as_words(np.load(task.path(directory, "entities")))
        at = np.load(task.path(directory, "entity_of"))
        found = start + at[np.isin(keys, wanted)]
        codes[found] = np.where(codes[found] == 0, mark, codes[found])


def _repetitions(tasks, starts, directory) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(positions of records that repeat one, positions of the first of each), in parts."""
    for bucket in range(BUCKETS):
        keys, positions = [], []
        for task, start in zip(tasks, starts, strict=False):
            own = np.load(task.path(directory, "records"), mmap_mode="r")
            members = np.flatnonzero(own[:, 0] % BUCKETS == bucket)
            keys.append(own[members])
            positions.append(start + members)
        joined, at = np.concatenate(keys), np.concatenate(positions)
        subject, said = _as_words(joined[:, :KEY_BYTES]), _as_words(joined[:, KEY_BYTES:])
        # Who says nothing more of a subject repeats whoever was first to have it.
        first = np.where(said == subject, _first(subject), _first(said))
        again = np.flatnonzero(first != np.arange(len(at)))
        yield at[again], at[first[again]]


def _first(keys: np.ndarray) -> np.ndarray:
    """The index of the first that is equal, for each."""
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return first[which]


def _near(threshold, codes, tasks, starts, directory) -> Iterator[tuple[int, int]]:
    """(position of a text, that of the first it nearly repeats), of those that are still there."""

    def signatures() -> Iterator[tuple[str, bytes]]:
        for task, start in zip(tasks, starts, strict=False):
            at = np.load(task.path(directory, "signature_of"))
            own = np.load(task.path(directory, "signatures"), mmap_mode="r")
            for record, row in zip(at.tolist(), own, strict=True):
                if not codes[start + record]:
                    yield str(start + record), row.tobytes()

    for later, first in near_duplicates.duplicates(signatures(), threshold):
        yield int(later), int(first)


def _sorted_keys(keys: set[bytes]) -> np.ndarray:
    return _as_words(np.frombuffer(b"".join(sorted(keys)), np.uint8).reshape(len(keys), -1))


def _as_words(keys_nb: np.ndarray) -> np.ndarray:
    """Keys as one value each, which sort by their bytes."""
    return np.ascontiguousarray(keys_nb).view(f"S{keys_nb.shape[1]}")[:, 0]
