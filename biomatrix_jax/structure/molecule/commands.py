"""`biomatrix molecule encode` and `decode`: files of molecules to lines of codes, and back to SDF.

Both work in batches in any number of processes, and what they write does not depend on how many.
"""

import contextlib
import functools
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, TextIO

from biomatrix_jax.display import Display
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file, parse_json
from biomatrix_jax.reading import open_binary
from biomatrix_jax.structure.molecule.embedding import MAX_SEED, smiles_of
from biomatrix_jax.structure.molecule.errors import MoleculeError, UnusableMolecule
from biomatrix_jax.structure.molecule.files import (
    PACKED,
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

    from biomatrix_jax.structure.molecule.tokenizer import Encoding, MoleculeTokenizer

TOGETHER = 128  # molecules that are encoded or decoded in one go
PROBLEM = "refinement_problem"  # the property in which a molecule says why it is not refined

Numbered = tuple[int, bytes]  # a line of a file with its number


@dataclass
class Summary:
    """How many molecules were encoded or decoded, how many failed, and the first error."""

    molecules: int = 0
    failed: int = 0
    first_error: str | None = None

    def fail(self, name: str, error: BadInput) -> str:
        """Counts a failure, and gives the line that tells of it."""
        self.failed += 1
        self.first_error = self.first_error or f"{name}: {_problem(error)}"
        return _line({"name": name, "error": _problem(error)})


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
    """Files of molecules to one line for each molecule, in order.

    A line is {"name", "smiles", "codes", "struct_selfies"}, or {"name", "error"}.

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
    _check_file(out)
    if suffix_of(out):
        raise BadInput(f"{out} is named as a file of molecules, not of their lines: name it .jsonl")
    found = chain.from_iterable(map(entries, paths))
    summary = Summary()
    with (
        _begin(stream, weights) as (display, place),
        atomic_file(out) as file,
        _compressed(file, out) as lines,
    ):
        work = functools.partial(_encode, place, seed)
        results = in_order(work, found, workers, TOGETHER)
        for done, (entry, result) in enumerate(results, start=1):
            if isinstance(result, BadInput):
                lines.write(summary.fail(entry.name, result).encode())
            else:
                summary.molecules += 1
                lines.write(_line(result).encode())
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
    _check_file(out)
    if lines.resolve() in (out.resolve(), failures_beside(out).resolve()):
        raise BadInput(f"{lines} would be replaced: name another OUT")
    numbered = _lines(lines)
    first = list(islice(numbered, 1))
    if not first:
        raise BadInput(f"{lines}: there is no line in it")
    summary = DecodeSummary()
    failures: list[str] = []
    with (
        _begin(stream, weights) as (display, place),
        atomic_file(out) as file,
        _compressed(file, out) as sdf,
    ):
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
                summary.unrefined += f"<{PROBLEM}>" in block
                sdf.write(block.encode())
            display.show(out.name, done)
        if summary.unrefined:
            display.line(f"{summary.unrefined:,} not refined: see their field {PROBLEM} in {out}")
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


def _encode(place: Path, seed: int, batch: Sequence[Entry]) -> list[dict | BadInput]:
    """The lines of a batch; in a worker process."""
    results: list[Chem.Mol | BadInput] = []
    for entry in batch:
        try:
            results.append(molecule(entry, seed))
        except BadInput as error:
            results.append(error)
    at = [i for i, result in enumerate(results) if not isinstance(result, BadInput)]
    encodings = _tokenizer(place).encode_batch([results[i] for i in at])
    for i, encoding in zip(at, encodings, strict=True):
        try:
            results[i] = _record(batch[i].name, results[i], encoding)
        except BadInput as error:
            results[i] = error
    return results


def _record(name: str, mol: "Chem.Mol", encoding: "Encoding | MoleculeError") -> dict:
    if isinstance(encoding, MoleculeError):
        raise encoding
    try:
        smiles = smiles_of(mol)
    except ValueError as error:
        raise UnusableMolecule(name, f"RDKit refuses it without hydrogens ({error})") from error
    return {
        "name": name,
        "smiles": smiles,
        "codes": encoding.codes.tolist(),
        "struct_selfies": encoding.struct_selfies,
    }


def _decode(
    place: Path, refine: bool, mmff: bool, batch: Sequence[Numbered]
) -> list[tuple[str, str | BadInput]]:
    """Name and SDF entry of each line of a batch; in a worker process."""
    results: list[tuple[str, str | BadInput]] = [_read(*line) for line in batch]
    at = [i for i, (_, result) in enumerate(results) if not isinstance(result, BadInput)]
    decoded = _tokenizer(place).decode_batch([results[i][1] for i in at], mmff, refine)
    for i, result in zip(at, decoded, strict=True):
        name = results[i][0]
        results[i] = name, result if isinstance(result, BadInput) else _sdf_entry(result, name)
    return results


def _read(number: int, line: bytes) -> tuple[str, str | BadInput]:
    """The name of a line, or its number where it has none, and its struct SELFIES."""
    name = f"line {number}"
    try:
        record = parse_json(line, name)
    except BadInput as error:
        return name, error
    if isinstance(record.get("name"), str):
        # JSON can spell halves of characters, which no file can hold.
        name = record["name"].encode("utf-8", "replace").decode()
        name = " ".join(name.split()) or f"line {number}"
    if name.startswith("$$$$"):
        return name, BadInput("its name would end the entry in an SDF file: rename it")
    if isinstance(record.get("struct_selfies"), str):
        return name, record["struct_selfies"]
    if "error" in record:
        return name, BadInput(f"was not encoded: {record['error']}")
    return name, BadInput('has no text "struct_selfies"')


def _sdf_entry(mol: "Chem.Mol", name: str) -> str:
    from rdkit import Chem

    mol.SetProp("_Name", name)
    field = f">  <{PROBLEM}>\n{mol.GetProp(PROBLEM)}\n\n" if mol.HasProp(PROBLEM) else ""
    return f"{Chem.MolToMolBlock(mol)}{field}$$$$\n"


def _write_failures(failures: list[str], path: Path) -> None:
    if failures:
        with atomic_file(path, "w") as file:
            file.writelines(failures)
    else:
        path.unlink(missing_ok=True)  # of an earlier time


def _check_file(out: Path) -> None:
    if out.is_dir():
        raise BadInput(f"{out} is a folder: name a file")
    if out.suffix in PACKED and out.suffix != ".gz":
        raise BadInput(f"{out}: of compressed files only .gz are written")


def _compressed(file: IO, out: Path) -> contextlib.AbstractContextManager[IO]:
    if out.suffix != ".gz":
        return contextlib.nullcontext(file)
    # Without name and time, so that the bytes depend on the molecules alone.
    return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0)


def _lines(path: Path) -> Iterator[Numbered]:
    """The lines that are not blank."""
    with open_binary(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def _problem(error: BadInput) -> str:
    return error.problem if isinstance(error, MoleculeError) else str(error)


def _line(record: dict) -> str:
    return json.dumps(record) + "\n"
