"""What a data directory holds: `manifest.json`, read strictly and written last.

    DIR/manifest.json               this module
    DIR/tokenizer/                  the tokenizer the ids belong to, file for file
    DIR/shards/<source>-00000.arrayrecord     packed rows (see `rows`), at most 4,096 in each
    DIR/documents/<source>-00000.arrayrecord  whole documents, from which rows of another length
                                              are made; a directory may be without

A directory without a manifest is no data directory: whatever interrupted its making, nothing in it
can be mistaken for complete.
"""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from biomatrix_jax.config import from_dict
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file, read_json, sha256

SCHEMA_VERSION = 3
FILE = "manifest.json"
TOKENIZER = "tokenizer"
SHARDS = "shards"
DOCUMENTS = "documents"
DTYPE = "int32"  # of the tokens


@dataclass(frozen=True)
class VocabularyEntry:
    size: int  # every token id is below it
    files: dict[str, str]  # name in tokenizer/ -> sha256


@dataclass(frozen=True)
class InputsEntry:
    """Files that were read together: how many, their size, and one hash of all.

    The hash is the SHA-256 of a line `<SHA-256 of the file>  <its name>` for each, as `sha256sum`
    prints them. The name of a file that came with its whole folder is that within the folder.
    """

    first: str  # the name of the first
    files: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SourceEntry:
    """One source: what came in, what was dropped, what lies in its rows."""

    name: str
    inputs: tuple[InputsEntry, ...]
    records: int  # read
    used: int  # of them, those composed into at least one instance
    dropped: dict[str, int]  # reason -> records that were not
    lost: dict[str, int]  # reason -> views that used records do without
    instances: int
    rejected: dict[str, int]  # reason -> instances that have no ids
    examples: dict[str, str]  # any of these reasons -> the first it happened to
    documents: int  # whole ones, one for each instance that has ids
    cut: int  # of them, those longer than a row, which lie in rows in pieces
    tokens: dict[str, int]  # modality -> tokens; end-of-document tokens count with what they end
    rows: int
    # What its reader joins to the inputs: tables, all files of a folder of structures.
    beside: tuple[InputsEntry, ...] = ()
    absent_fields: tuple[str, ...] = ()  # that its composition names, and no composite ever had

    def __post_init__(self):
        if self.records != self.used + sum(self.dropped.values()):
            raise BadInput(f"source {self.name}: records do not add up to used and dropped ones")
        reasons = self.dropped | self.lost | self.rejected
        if missing := reasons.keys() - self.examples.keys():
            raise BadInput(f"source {self.name}: no example of {min(missing)!r}")
        if self.documents != self.instances - sum(self.rejected.values()):
            raise BadInput(f"source {self.name}: documents do not add up to instances")

    @property
    def total_tokens(self) -> int:
        return sum(self.tokens.values())


@dataclass(frozen=True)
class ShardEntry:
    path: str  # relative to the directory
    source: str
    rows: int
    documents: int  # in them, pieces of those that were cut counted one by one
    tokens: dict[str, int]  # modality -> tokens
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DocumentsEntry:
    """A shard of whole documents."""

    path: str  # relative to the directory
    source: str
    records: int
    record_tokens: tuple[int, ...]  # of each record
    bytes: int
    sha256: str

    def __post_init__(self):
        if self.records != len(self.record_tokens):
            raise BadInput(f"{self.path} has {self.records} records, not all of them with tokens")


@dataclass(frozen=True)
class Packing:
    algorithm: str  # planned for each shard by itself
    shard_tokens: int  # of documents that share a shard, about


@dataclass(frozen=True)
class Maker:
    """What code made data; see Manifest."""

    code: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Manifest:
    """How data were made, and what came of it.

    Attributes:
      recipe: all of what `data build` was told, with its defaults, paths as they were given. The
        same recipe, inputs, code and versions give the same bytes; what `data repack` makes has the
        recipe that would have built it. Empty: these are rows that no recipe made.
      code: one SHA-256 of the source files that decide the bytes.
      versions: package -> version that built the rows.
      documents_by: what made the documents, where other code or versions made rows of them later.
      evaluation_sets: the SHA-256 of each file, by the name that the recipe has for it.
      structure_tokenizers: "molecule" and "protein" -> the tokenizer that made the structure codes:
        its files' SHA-256.
    """

    schema_version: int
    row_length: int  # tokens
    seed: int
    recipe: dict[str, Any]
    code: str
    versions: dict[str, str]
    vocabulary: VocabularyEntry
    packing: Packing
    sources: tuple[SourceEntry, ...]  # a row's source ids index it
    shards: tuple[ShardEntry, ...]
    documents: tuple[DocumentsEntry, ...] = ()  # in the order in which rows took them
    dtype: str = DTYPE
    structure_tokenizers: dict[str, dict[str, str]] = field(default_factory=dict)
    evaluation_sets: dict[str, str] = field(default_factory=dict)
    documents_by: Maker | None = None

    def __post_init__(self):
        if self.dtype != DTYPE:
            raise BadInput(f"tokens of dtype {self.dtype}, not {DTYPE}")
        if min(self.row_length, self.vocabulary.size) < 1:
            raise BadInput("row_length and the size of the vocabulary must be positive")
        entries = (*self.shards, *self.documents)
        for path in (*(entry.path for entry in entries), *self.vocabulary.files):
            # The directory may come from elsewhere, and its files are copied by these names.
            if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise BadInput(f"the path {path!r} leads out of the directory")
        rows = {source.name: source.rows for source in self.sources}
        if len(rows) < len(self.sources):
            raise BadInput("two sources of one name")
        for shard in self.shards:
            if shard.source not in rows:
                raise BadInput(f"{shard.path} belongs to {shard.source}, which is no source")
            rows[shard.source] -= shard.rows
        if any(rows.values()):
            name = next(name for name, left in rows.items() if left)
            raise BadInput(f"the shards of source {name} do not hold its number of rows")
        self._check_documents()

    def _check_documents(self) -> None:
        tokens = {source.name: source.total_tokens for source in self.sources}
        for shard in self.documents:
            if shard.source not in tokens:
                raise BadInput(f"{shard.path} belongs to {shard.source}, which is no source")
            tokens[shard.source] -= sum(shard.record_tokens)
        if self.documents and any(tokens.values()):
            name = next(name for name, left in tokens.items() if left)
            raise BadInput(f"the documents of source {name} do not hold its number of tokens")

    @property
    def rows(self) -> int:
        return sum(source.rows for source in self.sources)

    @property
    def fill(self) -> float:
        """The part of all row positions that hold a token."""
        return sum(source.total_tokens for source in self.sources) / (self.rows * self.row_length)


def write(manifest: Manifest, directory: Path) -> None:
    with atomic_file(directory / FILE, "w") as file:
        json.dump(dataclasses.asdict(manifest), file, indent=1)
        file.write("\n")


def read(directory: str | os.PathLike, *, checksums: bool = False) -> Manifest:
    """The manifest of a data directory whose files are there and of the right size.

    Args:
      checksums: read all files and compare their SHA-256 too.

    Raises:
      BadInput: no manifest, one that is cut short or of an unknown schema, a value of a wrong type,
        counts that do not add up, or a shard or tokenizer file that is missing or another.
    """
    directory = Path(directory)
    path = directory / FILE
    if not path.is_file():
        raise BadInput(
            f"{directory}: no {FILE}, so no finished data: make it with `biomatrix data build`"
        )
    try:
        tree = read_json(path)
    except BadInput as error:
        raise BadInput(f"{error}: cut short or no manifest: build the data again") from None
    manifest = parse(tree, str(path))
    if found := differences(manifest, directory, checksums):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise BadInput(f"{found[0]}{more}: build the data again, or copy it whole")
    return manifest


def parse(tree: dict[str, Any], where: str) -> Manifest:
    """A manifest from its JSON.

    Raises:
      BadInput: it is of an unknown schema, has a value of a wrong type, or counts that do not add
        up; says `where` it stands.
    """
    version = tree.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BadInput(
            f"{where}: schema_version {version!r}, this release reads {SCHEMA_VERSION}: "
            "build the data again, or use the release that built it"
        )
    return from_dict(Manifest, tree, where)


def differences(manifest: Manifest, directory: Path, checksums: bool) -> list[str]:
    """Where the files differ from the manifest, one line for each; empty if nowhere."""
    found = []
    for shard in (*manifest.shards, *manifest.documents):
        path = directory / shard.path
        if path.is_file() and (size := path.stat().st_size) != shard.bytes:
            found.append(f"{path} has {size} bytes, {shard.bytes} in the manifest")
        else:
            found += _difference(path, shard.sha256 if checksums else None)
    for name, digest in manifest.vocabulary.files.items():
        found += _difference(directory / TOKENIZER / name, digest if checksums else None)
    return found


def _difference(path: Path, digest: str | None) -> list[str]:
    if not path.is_file():
        return [f"{path} is missing"]
    if digest and sha256(path) != digest:
        return [f"{path} has another SHA-256 than in the manifest"]
    return []
