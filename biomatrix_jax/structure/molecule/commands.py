"""`biomatrix molecule encode` and `decode`: files of molecules to lines of codes, and back to SDF.

Both work in batches in any number of processes, and what they write does not depend on how many.
"""

import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from biomatrix_jax.display import Display
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.structure.lines import check_output, numbered_lines, output
from biomatrix_jax.structure.molecule import records
from biomatrix_jax.structure.molecule.embedding import MAX_SEED
from biomatrix_jax.structure.molecule.files import (
    Entry,
    entries,
    molecule,
    molecule_files,
    suffix_of,
)
from biomatrix_jax.structure.packaged import DEFAULT, tokenizer_path
from biomatrix_jax.structure.pool import in_order

if TYPE_CHECKING:
    from rdkit import Chem

    from biomatrix_jax.structure.molecule.tokenizer import MoleculeTokenizer

TOGETHER = 128  # molecules that are encoded or decoded in one go


@dataclass
class Summary:
    """How many molecules were encoded or decoded, how many failed, and the first error."""

    molecules: int = 0
    failed: int = 0
    first_error: str | None = None

    def fail(self, name: str, error: BadInput) -> str:
        """Counts a failure, and gives the line that tells of it."""
        self.failed += 1
        self.first_error = self.first_error or f"{name}: {records.problem(error)}"
        return records.failure(name, error)


@dataclass
class DecodeSummary(Summary):
    """Also, how many of the molecules refinement left where their codes put them."""

    unrefined: int = 0


def encode(
    sources: Sequence[str],
    out: Path,
    weights: str = DEFAULT,
    workers: int = 1,
    seed: int = 0,
    stream: TextIO | None = None,
) -> Summary:
    """Files of molecules to one line for each molecule, in order, as `records` says.

    Args:
      sources: files, folders and patterns; see `files.molecule_files`.
      out: gzipped where its name ends in .gz; replaced if it is there, when all is done.
      weights: a tokenizer's directory, the published file, or "default".
      workers: processes.
      seed: of the conformers that are made for SMILES in tables.
      stream: for progress, standard error where None.

    Raises:
      BadInput: no file, no tokenizer, a seed that RDKit does not take, or `out` is a folder or
        named as what is read. What is wrong with a file or a molecule becomes its line.
    """
    if not 0 <= seed <= MAX_SEED:
        raise BadInput(f"the seed must be from 0 to {MAX_SEED}, not {seed}")
    paths = [path for source in sources for path in molecule_files(source)]
    check_output(out)
    if suffix_of(out):
        raise BadInput(f"{out} is named as a file of molecules, not of their lines: name it .jsonl")
    found = chain.from_iterable(map(entries, paths))
    summary = Summary()
    with _begin(stream, weights) as (display, place), output(out) as file:
        work = functools.partial(_encode, place, seed)
        results = in_order(work, found, workers, TOGETHER)
        for done, (entry, result) in enumerate(results, start=1):
            if isinstance(result, BadInput):
                file.write(summary.fail(entry.name, result).encode())
            else:
                summary.molecules += 1
                file.write(result.encode())
            display.show(out.name, done)
    return summary


def decode(
    lines: Path,
    out: Path,
    weights: str = DEFAULT,
    refine: bool = False,
    mmff: bool = False,
    workers: int = 1,
    stream: TextIO | None = None,
) -> DecodeSummary:
    """Lines of codes to an SDF file, a conformer for each line, in order.

    Lines that fail are missing there; OUT.failed.jsonl, beside it and without OUT's .sdf, tells of
    them: {"name", "error"}.

    Args:
      lines: as `encode` writes them, also gzipped; "name" and "struct_selfies" are enough.
      out: gzipped where its name ends in .gz; replaced if it is there, when all is done.
      refine: make all tokens and the usual geometry agree at once; an entry that this does not
        improve says why in a field refinement_problem.
      mmff: relax the coordinates with MMFF94, refined ones where both are asked for.
      weights, workers, stream: as in `encode`.

    Raises:
      BadInput: no such file, no line in it, no tokenizer, or `out` is a folder, or would replace
        `lines`.
    """
    check_output(out)
    if lines.resolve() in (out.resolve(), failures_beside(out).resolve()):
        raise BadInput(f"{lines} would be replaced: name another OUT")
    numbered = numbered_lines(lines)
    first = list(islice(numbered, 1))
    if not first:
        raise BadInput(f"{lines}: there is no line in it")
    summary = DecodeSummary()
    failures: list[str] = []
    with _begin(stream, weights) as (display, place), output(out) as sdf:
        work = functools.partial(_decode, place, refine, mmff)
        results = in_order(work, chain(first, numbered), workers, TOGETHER)
        for done, ((number, _), result) in enumerate(results, start=1):
            if isinstance(result, BadInput):  # the process died
                result = f"line {number}", result
            name, block = result
            if isinstance(block, BadInput):
                failures.append(summary.fail(name, block))
            else:
                summary.molecules += 1
                summary.unrefined += records.is_unrefined(block)
                sdf.write(block.encode())
            display.show(out.name, done)
        if summary.unrefined:
            display.line(
                f"{summary.unrefined:,} not refined: see their field {records.UNREFINED} in {out}"
            )
    _write_failures(failures, failures_beside(out))
    return summary


def import_weights(source: Path, destination: Path) -> None:
    """The file of weights that MolStrucTok published -> a tokenizer's directory of our own.

    Raises:
      BadInput: not that file, or the directory is there and not empty.
    """
    from biomatrix_jax.structure.molecule import weights
    from biomatrix_jax.structure.molecule.released import read_released

    weights.write(destination, *read_released(source))


def failures_beside(out: Path) -> Path:
    """Where `decode` tells of lines that failed: molecules.sdf.gz -> molecules.failed.jsonl."""
    return out.with_name(out.name.removesuffix(".gz").removesuffix(".sdf") + ".failed.jsonl")


@contextlib.contextmanager
def _begin(stream: TextIO | None, weights: str) -> Iterator[tuple[Display, Path]]:
    """The display, which says first which weights these are, and their place."""
    place = tokenizer_path("molecule", weights)
    _tokenizer(place)  # so that what is wrong with it is said before anything is done
    with Display(stream or sys.stderr, "molecules") as display:
        shipped = "the shipped ones, " if weights == DEFAULT else ""
        display.line(f"weights: {shipped}{place}")
        yield display, place


@functools.lru_cache(maxsize=1)
def _tokenizer(place: Path) -> "MoleculeTokenizer":
    from biomatrix_jax.structure.molecule.tokenizer import MoleculeTokenizer

    return MoleculeTokenizer.from_pretrained(place)


def _encode(place: Path, seed: int, batch: Sequence[Entry]) -> list[str | BadInput]:
    """The lines of a batch; in a worker process."""
    results: list[Chem.Mol | str | BadInput] = []
    for entry in batch:
        try:
            results.append(molecule(entry, seed))
        except BadInput as error:
            results.append(error)
    at = [i for i, result in enumerate(results) if not isinstance(result, BadInput)]
    encodings = _tokenizer(place).encode_batch([results[i] for i in at])
    for i, encoding in zip(at, encodings, strict=True):
        try:
            results[i] = records.line(batch[i].name, results[i], encoding)
        except BadInput as error:
            results[i] = error
    return results


def _decode(
    place: Path, refine: bool, mmff: bool, batch: Sequence[tuple[int, bytes]]
) -> list[tuple[str, str | BadInput]]:
    """Name and SDF entry of each line of a batch; in a worker process."""
    results: list[tuple[str, str | BadInput]] = [records.read_line(*line) for line in batch]
    at = [i for i, (_, result) in enumerate(results) if not isinstance(result, BadInput)]
    decoded = _tokenizer(place).decode_batch([results[i][1] for i in at], mmff, refine)
    for i, result in zip(at, decoded, strict=True):
        name = results[i][0]
        block = result if isinstance(result, BadInput) else records.sdf_entry(result, name)
        results[i] = name, block
    return results


def _write_failures(failures: list[str], path: Path) -> None:
    if failures:
        with atomic_file(path, "w") as file:
            file.writelines(failures)
    else:
        path.unlink(missing_ok=True)  # of an earlier time
