"""What lies beside a source's inputs and decides its records, too: hashed for the manifest.

It may be half a million models in a folder, so that hashing them is work for tasks, as reading them
is: file by file, in groups as those of the inputs. Whether a result may be used again is decided
without reading them, by `listing.digest`.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from biomatrix_jax.data.manifest import InputsEntry
from data_pipeline import listing, tasks
from data_pipeline.listing import State
from data_pipeline.recipe import Recipe, reader_options
from data_pipeline.tasks import InputGroup, Places
from data_pipeline.workplace import Crew


@dataclass(frozen=True)
class BesideAccount:
    """What became of a BesideTask."""

    fingerprint: str
    files: InputsEntry


@dataclass(frozen=True)
class BesideTask:
    """Hashes some files beside a source."""

    source: str
    number: int  # of the task within its source
    path: str  # a file, or the folder that has them
    files: tuple[State, ...]

    account: ClassVar[type] = BesideAccount

    @property
    def name(self) -> str:
        return f"beside-{self.source}-{self.number:05}"

    def decided_by(self) -> Any:
        return dataclasses.asdict(self)

    def is_there(self, account: BesideAccount, places: Places) -> bool:
        return True  # it is all in the account

    def do(self, places: Places, fingerprint: str) -> BesideAccount:
        path = Path(self.path)
        folder = path if path.is_dir() else path.parent
        named = [(file.name, folder / file.name) for file in self.files]
        return BesideAccount(fingerprint, listing.hashed(named))


def hashes(
    crew: Crew, recipe: Recipe, groups: Sequence[InputGroup]
) -> list[tuple[InputsEntry, ...]]:
    """The manifest's lines about the files beside each source, of which `groups` are the inputs."""
    todo = []
    for index, source in enumerate(recipe.sources):
        inputs = [Path(file) for group in groups if group[0] == index for file in group[2]]
        todo.append(_tasks(source.name, reader_options(source).paths_beside(inputs)))
    if not any(todo):
        return [()] * len(todo)
    done = iter(crew.carry_out("beside", [task for own in todo for task in own]))
    return [tuple(next(done).files for _ in own) for own in todo]


def _tasks(source: str, paths: Sequence[Path]) -> list[BesideTask]:
    groups = [
        (path, group)
        for path in paths
        for group in tasks.grouped(
            ((state, state.bytes) for state in listing.states(path)), tasks.INPUT_BYTES
        )
    ]
    return [
        BesideTask(source, number, str(path), tuple(group))
        for number, (path, group) in enumerate(groups)
    ]
