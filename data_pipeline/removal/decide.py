"""Which records go, from the keys of all."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import sha256
from data_pipeline.records import Record
from data_pipeline.removal import near_duplicates, repetitions
from data_pipeline.removal.evaluation_sets import evaluation_keys
from data_pipeline.removal.identity import KEY_BYTES
from data_pipeline.removal.keys import FOLDER, KeysTask, table
from data_pipeline.removal.settings import Removal
from data_pipeline.removal.tables import Table, by_file, owners
from data_pipeline.sources.tally import Tally

MEMORY = 2**30  # bytes


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
    removal: Removal,
    tasks: Sequence[KeysTask],
    counts: Sequence[int],
    directory: Path,
    memory: int = MEMORY,
    progress: Callable[[str, int, int], None] = lambda stage, done, steps: None,
) -> list[Verdict]:
    """The verdict on the records of each task.

    A record of an evaluation set goes for that reason, whatever else it is; of repetitions the
    first stays, in the order of the tasks. Keys are sorted on disk, so that memory does not grow
    with the records.

    Args:
      counts: how many records each task found.
      directory: that holds the keys, and gets the verdicts.
      memory: how many bytes to use for sorting, about; the verdicts do not depend on it.
    """
    reasons, repeated, near = _reasons(removal, tasks)
    paths = [directory / FOLDER / f"{task.name}.removed.npy" for task in tasks]
    for path, count in zip(paths, counts, strict=True):
        np.save(path, np.zeros(count, np.int16))
    scratch = directory / FOLDER / "deciding"
    shutil.rmtree(scratch, ignore_errors=True)  # of who was interrupted
    scratch.mkdir(parents=True)
    _mark_entities(removal, table(tasks, directory, "entities"), paths, memory)
    if removal.duplicates:
        records = table(tasks, directory, "records")
        found = repetitions.repetitions(records, scratch, memory)
        for task, pairs in _by_task(found, records):
            codes = np.load(paths[task], mmap_mode="r+")
            at = pairs["key"] - records.starts[task]
            code = repeated[owners(records.starts, pairs["first"])]
            codes[at] = np.where(codes[at] == 0, code, codes[at])
    if removal.near_duplicates:
        texts = table(tasks, directory, "signatures")
        told = partial(progress, "near-duplicates")
        left = _left(texts, paths, memory)
        found = near_duplicates.repetitions(
            texts, left, removal.near_duplicates, scratch, memory, told
        )
        for task, pairs in _by_task(found, texts):
            codes = np.load(paths[task], mmap_mode="r+")
            at = texts.take(pairs["key"])["record"]
            codes[at] = near[owners(texts.starts, pairs["first"])]
    shutil.rmtree(scratch)
    return [Verdict(str(path), sha256(path), reasons) for path in paths]


def _reasons(
    removal: Removal, tasks: Sequence[KeysTask]
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """All reasons, and for each task the code of what repeats one of its records, or nearly."""
    names = [task.source_recipe.name for task in tasks]
    sources = list(dict.fromkeys(names))
    sets = [f"in the evaluation set {one.name}" for one in removal.evaluation_sets]
    repeated = [f"repeats a record of {name}" for name in sources]
    near = [f"nearly repeats a text of {name}" for name in sources]
    of_task = np.array([sources.index(name) for name in names], np.int16)
    code = 1 + len(sets) + of_task
    return (*sets, *repeated, *near), code, code + len(sources)


def _by_task(found: Iterable[np.ndarray], rows: Table) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of PAIR as (a task, those of its rows)."""
    for pairs in found:
        for task, part in by_file(rows.starts, pairs["key"]):
            yield task, pairs[part]


def _mark_entities(removal: Removal, entities: Table, paths: Sequence[Path], memory: int) -> None:
    """Enters for which evaluation set a record goes: the first that has anything it is about."""
    for number, one in reversed(list(enumerate(removal.evaluation_sets, start=1))):
        wanted = _sorted_keys(evaluation_keys(one))
        for start, block in entities.blocks(memory // 8):  # which is copied several times
            codes = np.load(paths[owners(entities.starts, start)], mmap_mode="r+")
            codes[block["record"][np.isin(block["key"], wanted)]] = number


def _left(
    texts: Table, paths: Sequence[Path], memory: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(numbers, hashes) of the texts that are still there, in blocks."""
    for start, block in texts.blocks(memory // 8):
        codes = np.load(paths[owners(texts.starts, start)], mmap_mode="r")
        stay = codes[block["record"]] == 0
        yield start + np.flatnonzero(stay), block["hashes"][stay]


def _sorted_keys(keys: set[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(sorted(keys)), f"S{KEY_BYTES}")
