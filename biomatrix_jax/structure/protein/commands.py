"""`biomatrix protein encode` and `decode`: structure files to lines of codes, and back to files."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from biomatrix_jax.display import Display
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, check_absent
from biomatrix_jax.structure.lines import check_output, numbered_lines, output
from biomatrix_jax.structure.packaged import DEFAULT
from biomatrix_jax.structure.pool import WorkerDied, in_order
from biomatrix_jax.structure.protein import records, writer
from biomatrix_jax.structure.protein.chains import Chain, Limits, atoms_of, read_chain
from biomatrix_jax.structure.protein.errors import CannotWrite, ProteinError, UnreadableFile
from biomatrix_jax.structure.protein.files import name_of, parse, structure_files
from biomatrix_jax.structure.protein.records import CodedChain

if TYPE_CHECKING:
    from biomatrix_jax.structure.protein.tokenizer import ProteinTokenizer

TOGETHER = 256  # chains that are encoded or decoded in one go
FILES_TOGETHER = 4  # that a worker reads in one go
FAILED = "failed.jsonl"  # beside the decoded files
_NO_NAME = re.compile(r"^\.|[\x00-\x1f/\\\ud800-\udfff]")
_LONGEST_NAME = 200  # bytes; file systems take 255


@dataclass
class Summary:
    """How many chains were encoded or decoded, how many records failed, and the first error."""

    chains: int = 0
    failed: int = 0
    first_error: str | None = None

    def fail(self, error: BadInput) -> None:
        self.failed += 1
        self.first_error = self.first_error or str(error)


def encode(
    sources: Sequence[str],
    out: Path,
    weights: str = DEFAULT,
    workers: int = 1,
    stream: TextIO | None = None,
) -> Summary:
    """Structure files to one line for each chain, in order, as `records` says.

    Args:
      sources: files, folders and patterns; see `files.structure_files`.
      out: gzipped where its name ends in .gz; replaced if it is there, when all is done.
      weights: a tokenizer's directory, or "default".
      workers: processes that read files; the network runs in this one.
      stream: for progress, standard error where None.

    Raises:
      BadInput: no file, no tokenizer, or `out` is a folder, one of the files, or called as they
        are. What is wrong with a file or a chain becomes its line.
    """
    paths = [path for source in sources for path in structure_files(source)]
    check_output(out)
    # A pattern that a shell has spelled out, and no OUT behind it: the last file would be lost.
    if out in paths or name_of(out) != out.name:
        raise BadInput(f"{out} is or would be a structure file: name one for the lines behind IN")
    tokenizer = _load(weights)
    limits = Limits(max_residues=tokenizer.config.max_length)
    summary = Summary()
    with Display(stream or sys.stderr, "files") as display, output(out) as file:

        def flush(found: list[tuple[str, Chain | BadInput]]) -> None:
            chains = [(one.backbone, one.sequence) for _, one in found if isinstance(one, Chain)]
            encoded = iter(tokenizer.encode_batch(chains))
            for name, one in found:
                codes = next(encoded) if isinstance(one, Chain) else one
                if not isinstance(codes, BadInput):
                    summary.chains += 1
                    file.write(f"{records.line(name, one, codes)}\n".encode())
                    continue
                error = codes if codes is one else ProteinError(name, one.id, str(codes))
                summary.fail(error)
                file.write(f"{records.failure(name, error)}\n".encode())

        waiting: list[tuple[str, Chain | BadInput]] = []
        files = in_order(partial(_read, limits=limits), paths, workers, FILES_TOGETHER)
        for done, (path, found) in enumerate(files, start=1):
            if isinstance(found, WorkerDied):
                found = [UnreadableFile(str(path), "", str(found))]
            waiting += [(name_of(path), one) for one in found]
            if len(waiting) >= TOGETHER:
                flush(waiting)
                waiting = []
            display.show(out.name, done, len(paths))
        if waiting:
            flush(waiting)
    return summary


def decode(
    lines: Path,
    out: Path,
    weights: str = DEFAULT,
    suffix: str = "pdb",
    overwrite: bool = False,
    stream: TextIO | None = None,
) -> Summary:
    """Lines of codes to one structure file for each chain: OUT/NAME_CHAIN.pdb or .cif.

    Each chain has a file of its own because decoding knows no chain's place beside another's. Files
    have N, CA and C of the residues that have a code, and the numbers and B-factors of the line, or
    numbers from 1. Of records that failed there are lines in OUT/failed.jsonl.

    Args:
      lines: as `encode` writes them, also gzipped; `name` and `codes` are enough.
      suffix: "pdb" or "cif", with ".gz" where the files are to be gzipped.

    Raises:
      BadInput: no such file, no line in it, no tokenizer, or OUT is there and not empty, or has
        the lines in it.
    """
    check_absent(out, overwrite)
    if lines.resolve().is_relative_to(out.resolve()):
        raise BadInput(f"{lines} lies in {out}, which would be replaced: name another folder")
    numbered = numbered_lines(lines)
    first = list(islice(numbered, 1))
    if not first:
        raise BadInput(f"{lines}: there is no line in it")
    tokenizer = _load(weights)
    summary = Summary()
    failures: list[str] = []
    with (
        Display(stream or sys.stderr, "records") as display,
        atomic_directory(out, overwrite) as to,
    ):

        def fail(where: str, error: BadInput) -> None:
            summary.fail(error)
            name = error.entry if isinstance(error, ProteinError) else where
            failures.append(records.failure(name, error) + "\n")

        for group in _groups(chain(first, numbered), TOGETHER):
            coded = []
            for number, line in group:
                where = f"line {number}"
                try:
                    coded.append(records.read_line(line, where))
                except BadInput as error:
                    fail(where, error)
            decoded = tokenizer.decode_batch([one.codes for one in coded])
            for one, backbone in zip(coded, decoded, strict=True):
                try:
                    _write(to, one, backbone, suffix)
                    summary.chains += 1
                except BadInput as error:
                    fail(one.name, error)
            display.show(out.name, number)
        if failures:
            (to / FAILED).write_text("".join(failures), encoding="utf-8")
    return summary


def _load(weights: str) -> "ProteinTokenizer":
    from biomatrix_jax.structure.protein.tokenizer import ProteinTokenizer

    return ProteinTokenizer.from_pretrained(weights)


def _read(paths: Sequence[Path], limits: Limits) -> list[list[Chain | BadInput]]:
    """The chains of each file, with an error in the place of what cannot be used."""
    return [_chains(path, limits) for path in paths]


def _chains(path: Path, limits: Limits) -> list[Chain | BadInput]:
    try:
        entry = parse(path)
    except BadInput as error:
        return [error]
    found: list[Chain | BadInput] = []
    for one in entry.chains:
        try:
            found.append(read_chain(one, limits, atoms_of(one)))
        except BadInput as error:
            found.append(error)
    return found


def _write(folder: Path, coded: CodedChain, backbone: np.ndarray | BadInput, suffix: str) -> None:
    if isinstance(backbone, BadInput):
        raise ProteinError(coded.name, coded.id, str(backbone))
    stem = f"{coded.name}_{coded.id}" if coded.id else coded.name
    if _NO_NAME.search(stem) or len(stem.encode()) > _LONGEST_NAME:
        raise CannotWrite(coded.name, coded.id, "not fit for the name of a file")
    path = folder / f"{stem}.{suffix}"
    data = writer.content(path.name, [coded.chain(backbone)], coded.name)
    # "x": where two records have one name, or the disk takes a and A for the same letter.
    try:
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError:
        raise CannotWrite(coded.name, coded.id, f"{path.name} is there already") from None


def _groups(items: Iterable, size: int) -> Iterator[list]:
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
