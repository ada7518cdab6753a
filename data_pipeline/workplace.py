"""Where a data directory is made, and who makes it.

    OUT.incomplete/lock         held while somebody works there
    OUT.incomplete/accounts/    of the tasks that are done
    OUT.incomplete/data/        what becomes OUT

It outlives whoever worked there, so that the next build of OUT starts from what is done.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest, VocabularyEntry
from biomatrix_jax.files import check_absent, move_directory, sha256
from biomatrix_jax.lock import locked
from biomatrix_jax.tokens import Vocabulary
from data_pipeline import tasks
from data_pipeline.engine import Engine
from data_pipeline.tasks import Account, Assigned, Places, Task, Worker
from data_pipeline.versions import code, versions

Progress = Callable[[str, int, int], None]  # a stage's name, tasks that are done, and of how many


@dataclass(frozen=True)
class Workplace:
    """The folders of OUT.incomplete."""

    data: Path
    accounts: Path
    out: Path
    overwrite: bool

    def finish(self, complete: Callable[[Path], None], made: Collection[str] = ()) -> None:
        """Lets `complete` write the last that the directory needs, and gives it its name.

        Args:
          made: the files, by their paths within the directory, that are to stay. All others go:
            what served its end, and what another recipe or command left.
        """
        for path in sorted(self.data.rglob("*"), reverse=True):  # what is in a folder before it
            if not path.is_dir():
                if path.relative_to(self.data).as_posix() not in made:
                    path.unlink()
            elif not any(path.iterdir()):
                path.rmdir()
        complete(self.data)
        move_directory(self.data, self.out, self.overwrite)


@contextlib.contextmanager
def workplace(
    out: str | os.PathLike, overwrite: bool, say: Callable[[str], None]
) -> Iterator[Workplace]:
    """Holds the workplace of a data directory; it is gone when the block ends without an exception.

    Raises:
      BadInput: `out` exists, or another process works on it.
    """
    check_absent(out, overwrite)
    out = Path(os.path.realpath(out))
    place = out.with_name(f"{out.name}.incomplete")
    with locked(place, say):
        check_absent(out, overwrite)  # whoever held the lock until now may have made it
        found = Workplace(place / "data", place / "accounts", out, overwrite)
        for folder in (found.data, found.accounts):
            folder.mkdir(exist_ok=True)
        if any(found.accounts.iterdir()):
            say(f"{place}: going on with what is done there")
        yield found
        shutil.rmtree(place)


@dataclass(frozen=True)
class Crew:
    """Carries out the tasks that are not done yet.

    Attributes:
      tools: what decides results beside tasks and code, as plain data.
    """

    place: Workplace
    engine: Engine
    progress: Progress
    tools: Any

    def carry_out(
        self, stage: str, todo: Sequence[Task], documents: Path | None = None
    ) -> list[Account]:
        """The accounts of tasks, in their order.

        Args:
          documents: the data directory that holds the documents of RowsTasks, where it is another.
        """
        places = Places(self.place.data, documents or self.place.data, self.place.accounts)
        tools = [self.tools, versions(), code()]
        assigned = [Assigned(task, tasks.fingerprint(task, tools)) for task in todo]
        waiting = [one for one in assigned if tasks.read_account(places, one) is None]
        done = len(todo) - len(waiting)

        def count(_: Assigned) -> None:
            nonlocal done
            done += 1
            self.progress(stage, done, len(todo))

        self.progress(stage, done, len(todo))
        self.engine(Worker(places), waiting, count)
        found = [tasks.read_account(places, one) for one in assigned]
        assert None not in found, f"{stage}: the engine left tasks undone"
        return found


def finish_data(place: Workplace, manifest: Manifest) -> None:
    """Makes a data directory complete."""
    shards = {entry.path for entry in (*manifest.shards, *manifest.documents)}
    tokenizer = {f"{manifests.TOKENIZER}/{name}" for name in manifest.vocabulary.files}
    place.finish(partial(manifests.write, manifest), shards | tokenizer)


def checksums(path: Path) -> dict[str, str]:
    """The SHA-256 of a file, or of each in a directory and those below it, by name."""
    if path.is_file():
        return {path.name: sha256(path)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): sha256(file) for file in files}


def save_vocabulary(vocabulary: Vocabulary, directory: Path) -> VocabularyEntry:
    """Copies a tokenizer into a data directory."""
    shutil.rmtree(directory, ignore_errors=True)  # of a build before
    directory.mkdir()
    vocabulary.save(directory)
    return VocabularyEntry(vocabulary.size, checksums(directory))
