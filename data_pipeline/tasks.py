"""The work of a build in pieces: each is done alone, anywhere, from what is written in it.

    inputs -> KeysTask -> keys of records                  where a recipe removes some
    inputs -> DocumentsTask -> a shard of documents        one for each group of input files
    documents -> RowsTask -> a shard of rows               one for each stretch of documents

A task is plain data, so that any engine can carry it to any machine. What becomes of it is an
*account*, a small JSON file beside the shards; it is written last, so a task with an account is
done. The fingerprint in it says of which task, so that a build that was interrupted, or whose
recipe changed, does again what has to be done and nothing else.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from biomatrix_jax.config import from_dict
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file, read_json
from data_pipeline import listing, sources
from data_pipeline.recipe import Recipe, SourceRecipe, reader_options
from data_pipeline.records import Record
from data_pipeline.sources.tally import Tally

INPUT_BYTES = 256 * 2**20  # of input files that one task reads together

Item = TypeVar("Item")
# Of a source: which it is, the number of the group within it, files, and the state (see `listing`)
# of what lies beside them all.
InputGroup = tuple[int, int, tuple[str, ...], str]


class Account(Protocol):
    """What became of a task; a dataclass of plain data."""

    fingerprint: str


@dataclass(frozen=True)
class Places:
    """Where tasks find and leave what they make.

    Attributes:
      data: the data directory in the making.
      documents: the one that holds the documents of RowsTasks.
      accounts: a folder.
    """

    data: Path
    documents: Path
    accounts: Path


class Task(Protocol):
    """A piece of work."""

    account: ClassVar[type]

    @property
    def name(self) -> str:
        """Unique in a build."""

    def decided_by(self) -> Any:
        """What decides its result, code and tokenizers aside, as plain data."""

    def do(self, places: Places, fingerprint: str) -> Account:
        """Does it. Raises BadInput for an input that cannot be used."""

    def is_there(self, account: Account, places: Places) -> bool:
        """Whether what an account tells of is still there."""


@dataclass(frozen=True)
class FilesTask:
    """What tasks share that read some files of a source."""

    recipe: Recipe
    source: int  # its index in the recipe
    number: int  # of the task within its source
    inputs: tuple[str, ...]
    beside: str = ""  # the state, see `listing.digest`, of what else decides the source's records

    @property
    def source_recipe(self) -> SourceRecipe:
        return self.recipe.sources[self.source]

    @property
    def files(self) -> list[Path]:
        return [Path(path) for path in self.inputs]

    def records(self, tally: Tally) -> Iterator[Record]:
        source = self.source_recipe
        return sources.read_files(source.reader, self.files, reader_options(source), tally)

    def reading(self) -> Any:
        """What decides the records: the source, and names, sizes and times of the files."""
        source = dataclasses.asdict(self.source_recipe)
        return [source, self.source, listing.digest(self.files), self.beside]


@dataclass(frozen=True)
class Assigned:
    """A task with the fingerprint that its account is to have."""

    task: Task
    fingerprint: str


@dataclass(frozen=True)
class Worker:
    """Carries tasks out; a value that can be sent to other processes and machines."""

    places: Places

    def __call__(self, assigned: Assigned) -> None:
        task = assigned.task
        # An account of the same task for another recipe must not vouch for what is made now.
        _account_path(self.places, task).unlink(missing_ok=True)
        account = task.do(self.places, assigned.fingerprint)
        with atomic_file(_account_path(self.places, task), "w") as file:
            json.dump(dataclasses.asdict(account), file)


def all_inputs(recipe: Recipe) -> list[InputGroup]:
    """The inputs of all sources, in the groups in which tasks read them.

    Raises:
      BadInput: an unknown reader or option, or a corpus that is missing.
    """
    options = [reader_options(source) for source in recipe.sources]  # all, before any disk is read
    found = []
    for index, (source, of_source) in enumerate(zip(recipe.sources, options, strict=True)):
        inputs = sources.input_files(source.reader, source.path or None, of_source)
        beside = listing.digest(of_source.paths_beside(inputs))
        groups = input_groups(source, inputs)
        found += [(index, number, group, beside) for number, group in enumerate(groups)]
    return found


def input_groups(source: SourceRecipe, inputs: Sequence[Path]) -> list[tuple[str, ...]]:
    """The inputs that a task reads together: consecutive ones of about INPUT_BYTES.

    A source with a `limit` is one task, since only who reads it in order knows where that is.
    """
    if source.options.get("limit"):
        return [tuple(map(str, inputs))]
    sized = ((str(path), path.stat().st_size) for path in inputs)
    return [tuple(group) for group in grouped(sized, INPUT_BYTES)]


def grouped(
    sized: Iterable[tuple[Item, int]], size: int, fit: bool = False
) -> Iterator[list[Item]]:
    """Consecutive items that together reach `size`, or, where they must `fit` it, do not exceed
    it; an item that does by itself is alone."""
    group: list[Item] = []
    total = 0
    for item, own in sized:
        if group and (total + own > size if fit else total >= size):
            yield group
            group, total = [], 0
        group.append(item)
        total += own
    if group:
        yield group


def fingerprint(task: Task, tools: Any) -> str:
    """What decides a task's result, as a hash.

    Args:
      tools: what does the work: versions of packages, hashes of our code and of tokenizers.
    """
    told = json.dumps([type(task).__name__, task.decided_by(), tools], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def read_account(places: Places, assigned: Assigned) -> Account | None:
    """The account of a task that is done; None where it is not, or was done otherwise."""
    task = assigned.task
    path = _account_path(places, task)
    try:
        account = from_dict(task.account, read_json(path), str(path))
    except BadInput:
        return None
    done = account.fingerprint == assigned.fingerprint and task.is_there(account, places)
    return account if done else None


def _account_path(places: Places, task: Task) -> Path:
    return places.accounts / f"{task.name}.json"
