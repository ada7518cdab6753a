"""The work of a build in pieces: each makes one shard, alone, from what is written in it.

    inputs -> KeysTask -> keys of records                  where a recipe removes some
    inputs -> DocumentsTask -> a shard of documents        one for each group of input files
    documents -> RowsTask -> a shard of rows               one for each stretch of documents

A task is plain data, so that any engine can carry it to any machine. What becomes of it is an
*account*, a small JSON file beside the shards; it is written last, so a shard with an account is
done. The fingerprint in it says of which task, so that a build that was interrupted, or whose
recipe changed, does again what has to be done and nothing else.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from biomatrix_jax.config import from_dict
from biomatrix_jax.data.manifest import DOCUMENTS, DocumentsEntry, InputsEntry, ShardEntry
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file, read_json
from data_pipeline.recipe import Recipe, SourceRecipe
from data_pipeline.removal.decide import Verdict
from data_pipeline.removal.keys import KeysAccount, KeysTask, written
from data_pipeline.shards import ROWS_PER_SHARD, row_shard

INPUT_BYTES = 256 * 2**20  # of input files that one task reads together

Item = TypeVar("Item")


@dataclass(frozen=True)
class DocumentsTask:
    """Makes documents of some files of a source."""

    recipe: Recipe
    source: int  # its index in the recipe
    number: int  # of the task within its source
    inputs: tuple[str, ...]
    verdict: Verdict | None = None  # on which records to leave out

    @property
    def name(self) -> str:
        return f"{DOCUMENTS}-{self.recipe.sources[self.source].name}-{self.number:05}"

    @property
    def shard(self) -> str:
        """Its path within the data directory."""
        return f"{DOCUMENTS}/{self.recipe.sources[self.source].name}-{self.number:05}.arrayrecord"


@dataclass(frozen=True)
class Stretch:
    """Records `first` to `last` (not included) of a shard of documents."""

    shard: str
    sha256: str
    first: int
    last: int


@dataclass(frozen=True)
class RowsTask:
    """Packs stretches of documents of one source into rows."""

    source: str
    number: int
    row_length: int
    stretches: tuple[Stretch, ...]
    end_tokens: tuple[int, ...]  # ids behind which a long document may be cut

    @property
    def name(self) -> str:
        return f"rows-{self.source}-{self.number:05}"

    @property
    def shard(self) -> str:
        """Its path within the data directory."""
        return row_shard(self.source, self.number)


Task = KeysTask | DocumentsTask | RowsTask


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
    documents: int
    tokens: dict[str, int]
    shard: DocumentsEntry | None  # None: nothing came of it


@dataclass(frozen=True)
class RowsAccount:
    """What became of a RowsTask."""

    fingerprint: str
    cut: int  # documents longer than a row
    shard: ShardEntry


Account = KeysAccount | DocumentsAccount | RowsAccount


ACCOUNT_OF = {KeysTask: KeysAccount, DocumentsTask: DocumentsAccount, RowsTask: RowsAccount}


def input_groups(source: SourceRecipe, inputs: Sequence[Path]) -> list[tuple[str, ...]]:
    """The inputs that a task reads together: consecutive ones of about INPUT_BYTES.

    A source with a `limit` is one task, since only who reads it in order knows where that is.
    """
    sized = ((str(path), path.stat().st_size) for path in inputs)
    if source.options.get("limit"):
        return [tuple(path for path, _ in sized)]
    return [tuple(group) for group in _grouped(sized, INPUT_BYTES)]


def row_tasks(
    source: str, documents: Sequence[DocumentsEntry], row_length: int, end_tokens: Sequence[int]
) -> list[RowsTask]:
    """The tasks that pack all documents of a source, in their order.

    Raises:
      BadInput: a document is so long that its rows would not fit a shard.
    """
    most = shard_tokens(row_length)
    records = [
        ((shard, number), tokens)
        for shard in documents
        for number, tokens in enumerate(shard.record_tokens)
    ]
    if longest := max((tokens for _, tokens in records if tokens > most), default=0):
        raise BadInput(
            f"source {source}: a document of up to {longest:,} tokens does not fit a shard of "
            f"{ROWS_PER_SHARD} rows of {row_length}: choose longer rows, or leave it out"
        )
    return [
        RowsTask(source, number, row_length, tuple(_stretches(group)), tuple(end_tokens))
        for number, group in enumerate(_grouped(records, most, exceed=False))
    ]


def shard_tokens(row_length: int) -> int:
    """How many tokens of documents share a shard of rows, at most."""
    # Best fit leaves at most one row half empty, so that these never take more rows than allowed.
    return (ROWS_PER_SHARD // 2 - 1) * row_length


def fingerprint(task: Task, tools: Any) -> str:
    """What decides a task's shard, as a hash; of the inputs their names, sizes and times count.

    Args:
      tools: what does the work: versions of packages, hashes of tokenizers.
    """
    if isinstance(task, RowsTask):
        what: Any = dataclasses.asdict(task)
    else:
        # Rows are no matter of documents, nor are the other sources.
        source = dataclasses.asdict(task.recipe.sources[task.source])
        states = [Path(path).stat() for path in task.inputs]
        files = [
            (path, state.st_size, state.st_mtime_ns)
            for path, state in zip(task.inputs, states, strict=True)
        ]
        what = [source, task.source, task.recipe.seed, files]
        if isinstance(task, KeysTask):
            what.append(dataclasses.asdict(task.recipe.removal))
        elif task.verdict:
            what.append([task.verdict.sha256, task.verdict.reasons])
    told = json.dumps([type(task).__name__, what, tools], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def write_account(accounts: Path, task: Task, account: Account) -> None:
    """Says that a task is done, in a folder of accounts."""
    with atomic_file(accounts / f"{task.name}.json", "w") as file:
        json.dump(dataclasses.asdict(account), file)


def read_account(accounts: Path, task: Task, expected: str, directory: Path) -> Account | None:
    """The account of a task that is done; None where it is not, or was done otherwise.

    Args:
      expected: the fingerprint that it must have.
      directory: that holds its shard.
    """
    place = accounts / f"{task.name}.json"
    kind = ACCOUNT_OF[type(task)]
    try:
        account = from_dict(kind, read_json(place), str(place))
    except BadInput:
        return None
    if account.fingerprint != expected:
        return None
    if isinstance(task, KeysTask):
        return account if written(directory, task) else None
    if (shard := account.shard) is None:
        return account
    path = directory / shard.path
    return account if path.is_file() and path.stat().st_size == shard.bytes else None


def _grouped(
    sized: Iterable[tuple[Item, int]], size: int, exceed: bool = True
) -> Iterator[list[Item]]:
    """Consecutive items that reach `size` together, or, where they may not exceed it, fit it."""
    group: list[Item] = []
    total = 0
    for item, own in sized:
        if group and (total >= size if exceed else total + own > size):
            yield group
            group, total = [], 0
        group.append(item)
        total += own
    if group:
        yield group


def _stretches(records: Sequence[tuple[DocumentsEntry, int]]) -> Iterator[Stretch]:
    """Numbered records of shards, in order, as stretches."""
    start = 0
    for place, (shard, number) in enumerate(records):
        last = place + 1 == len(records) or records[place + 1][0] is not shard
        if last:
            yield Stretch(shard.path, shard.sha256, records[start][1], number + 1)
            start = place + 1
