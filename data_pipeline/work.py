"""Carrying out one task, wherever that is: its shard, then its account."""

from dataclasses import dataclass
from pathlib import Path

from data_pipeline.documents import make_documents
from data_pipeline.removal.keys import KeysTask, make_keys
from data_pipeline.rows import make_rows
from data_pipeline.tasks import DocumentsTask, Task, write_account


@dataclass(frozen=True)
class Worker:
    """Does tasks; a value that can be sent to other processes and machines.

    Attributes:
      documents: the data directory that holds the documents of RowsTasks.
      directory: the one that gets shards.
      accounts: a folder for what became of the tasks.
      fingerprints: of all tasks, by their names.
    """

    documents: str
    directory: str
    accounts: str
    fingerprints: dict[str, str]

    def __call__(self, task: Task) -> None:
        directory, fingerprint = Path(self.directory), self.fingerprints[task.name]
        if isinstance(task, KeysTask):
            account = make_keys(task, directory, fingerprint)
        elif isinstance(task, DocumentsTask):
            account = make_documents(task, directory, fingerprint)
        else:
            account = make_rows(task, Path(self.documents), directory, fingerprint)
        write_account(Path(self.accounts), task, account)
