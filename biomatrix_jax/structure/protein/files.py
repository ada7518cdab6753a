"""Structure files: which there are, and what is in one: PDB, mmCIF, BinaryCIF, plain or gzipped."""

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary, within
from biomatrix_jax.structure.protein.errors import UnreadableFile

if TYPE_CHECKING:
    from Bio.PDB import Chain as BioChain

    from biomatrix_jax.structure.protein.assembly import Assembly

SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif", ".bcif")  # each also with .gz
MAX_ATOMS = 1_000_000  # of the backbone, kept in memory: about two gigabytes
MAX_BYTES = 2**29  # uncompressed; of an mmCIF file about 14 times as many are taken
_MAX_LINE = 2**20
_MAPS = range(0x80, 0x90)  # how MessagePack, and with it BinaryCIF, begins; no text does


@dataclass(frozen=True, eq=False)
class Entry:
    """What one file has: the chains of its first model, as Biopython builds them.

    Attributes:
      id: what the file states, in capitals, else the file's own name.
      title: the depositor's, empty where the file has none.
      chains: in the order of the file, ATOM records of the backbone only; a chain of HETATM groups
        alone is empty. `chains.read_chain` makes arrays of one.
    """

    id: str
    title: str
    chains: tuple["BioChain.Chain", ...]


def structure_files(where: str | Path) -> list[Path]:
    """The structure files in a folder or of a pattern (`*`, `?`, `**`), sorted, or the one file.

    In folders and patterns the names say which files are structures; a single file is taken
    whatever it is called.

    Raises:
      BadInput: there is none, or no such path.
    """
    path = Path(where)
    if path.is_file():
        return [path]
    files = [file for file in within(where) if name_of(file) != file.name and file.is_file()]
    if not files:
        raise BadInput(f"{where}: no structure file ({', '.join(SUFFIXES)}, each also with .gz)")
    return files


def name_of(path: Path) -> str:
    """The file's name without what says its format: `dir/design.2.cif.gz` -> `design.2`."""
    name = path.name.removesuffix(".gz")
    stem, dot, suffix = name.rpartition(".")
    return stem if f"{dot}{suffix}".lower() in SUFFIXES and stem else path.name


def parse(path: Path, content: bytes | None = None) -> Entry:
    """The first model of a file. The content says which format it is, not the name.

    Args:
      content: of the file, compressed or not, where it is a member of an archive.

    Raises:
      ProteinError: the file is empty, damaged, cut short or of no known format, or has no atoms.
      BadInput: it is missing, or its gzip data are damaged.
    """
    from Bio.PDB.PDBExceptions import PDBConstructionWarning

    from biomatrix_jax.structure.protein.assembly import Assembly, Unreadable

    assembly = Assembly(MAX_ATOMS)
    try:
        with open_binary(path, content) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", PDBConstructionWarning)
            identifier, title = _read(file, assembly)
    except Unreadable as error:
        raise UnreadableFile(str(path), "", str(error)) from None
    entry = identifier.strip().upper() or name_of(path)
    return Entry(entry, " ".join(title.split()), tuple(assembly.structure(entry)[0]))


def _read(file: BufferedIOBase, assembly: "Assembly") -> tuple[str, str]:
    """What the file calls its entry, and its title; the first model goes into `assembly`."""
    from biomatrix_jax.structure.protein.assembly import Unreadable
    from biomatrix_jax.structure.protein.bcif_reader import read_bcif
    from biomatrix_jax.structure.protein.mmcif_reader import read_mmcif
    from biomatrix_jax.structure.protein.pdb_reader import read_pdb

    if file.peek(1)[:1] and file.peek(1)[0] in _MAPS:
        data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise Unreadable(f"more than {MAX_BYTES:,} bytes: split it")
        return read_bcif(data, assembly)
    lines = _lines(file)
    skipped, first = _first(lines)
    if not first:
        raise Unreadable("empty file")
    read = read_mmcif if first.lower().startswith("data_") else read_pdb
    return read(itertools.chain(skipped, [first], lines), assembly)


def _first(lines: Iterator[str]) -> tuple[list[str], str]:
    """The blank lines and comments of mmCIF at the beginning, and the line after them."""
    skipped = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            return skipped, line
        skipped.append(line)
    return skipped, ""


def _lines(file: BufferedIOBase) -> Iterator[str]:
    """The lines of a text, without their ends.

    UTF-8, or Latin-1 where a line is not: titles and names of depositors are older than UTF-8.
    """
    from biomatrix_jax.structure.protein.assembly import Unreadable

    size = 0
    while line := file.readline(_MAX_LINE):
        size += len(line)
        if size > MAX_BYTES:
            raise Unreadable(f"more than {MAX_BYTES:,} bytes: split it")
        if len(line) == _MAX_LINE:
            raise Unreadable(f"no text: a line of {_MAX_LINE:,} bytes")
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = line.decode("latin-1")
        yield text.rstrip("\r\n")
