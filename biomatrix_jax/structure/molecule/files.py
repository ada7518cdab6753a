"""Files of molecules: SDF entries and rows of tables as text, and molecules from that text.

Splitting a file is quick and parsing is not, so text is what goes to worker processes.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rdkit import Chem, rdBase

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import COMPRESSED, open_binary, within
from biomatrix_jax.structure.limits import MOST_CHARACTERS, MOST_LINES
from biomatrix_jax.structure.molecule.embedding import with_conformer
from biomatrix_jax.structure.molecule.errors import UnreadableMolecule

SDF_SUFFIXES = (".sdf", ".sd", ".mol")
TABLE_SUFFIXES = (".smi", ".smiles", ".csv", ".tsv")
SUFFIXES = SDF_SUFFIXES + TABLE_SUFFIXES
NAME_COLUMNS = ("name", "id")
MAX_ENTRY = 2**26  # bytes of one SDF entry; a molecule of 1,000 atoms takes 2**16

_END_OF_ENTRY = b"$$$$"
_END_OF_MOLECULE = "M  END"
# SMILES, perhaps its extension (CXSMILES), and a name.
_SMILES_LINE = re.compile(r"([^ \t]*(?:[ \t]+\|[^|]*\|(?![^ \t]))?)(.*)", re.DOTALL)
_HEADER = 3  # lines: title, program, comment


@dataclass(frozen=True)
class Entry:
    """One molecule as its file has it; `name` is its own, else the file's and the entry's number.

    Either `block` or `smiles` is there, or an entry that has neither says in `problem` why.
    """

    name: str
    block: str = ""  # of an SDF entry: its text up to the properties
    smiles: str = ""  # of a table's row
    problem: str = ""


def molecule_files(where: str | Path) -> list[Path]:
    """The files of molecules in a folder or of a pattern (`*`, `?`, `**`), sorted, or the one file.

    Raises:
      BadInput: there is none, no such path, or a single file whose name does not say what it is.
    """
    path = Path(where)
    if path.is_file():
        if not suffix_of(path):
            raise BadInput(f"{where}: not a kind of file that is read here: {_expected()}")
        return [path]
    files = [file for file in within(where) if suffix_of(file) and file.is_file()]
    if not files:
        raise BadInput(f"{where}: no file of molecules: {_expected()}")
    return files


def suffix_of(path: Path) -> str:
    """What of SUFFIXES the name ends in, compression aside; nothing where it is none of them."""
    name = Path(path.name.lower())
    suffix = Path(name.stem if name.suffix in COMPRESSED else name).suffix
    return suffix if suffix in SUFFIXES else ""


def entries(path: Path) -> Iterator[Entry]:
    """The molecules of a file, one at a time.

    What is wrong with the file as a whole (it holds nothing, is not readable, its compressed
    data are damaged from some place on, a table has no column of SMILES) is the last entry.
    """
    found = _sdf_entries(path) if suffix_of(path) in SDF_SUFFIXES else _table_entries(path)
    empty = True
    try:
        for entry in found:
            empty = False
            yield entry
    except BadInput as error:
        yield Entry(path.name, problem=str(error).removeprefix(f"{path}: "))
        return
    if empty:
        yield Entry(path.name, problem="the file holds no molecule")


def molecule(entry: Entry, seed: int) -> Chem.Mol:
    """The molecule of an entry, with the conformer that its block has or one that is made.

    Args:
      seed: of the embedding, for entries of SMILES.

    Raises:
      MoleculeError: there is none, or RDKit finds no conformer.
    """
    if entry.problem:
        raise UnreadableMolecule(entry.name, entry.problem)
    with rdBase.BlockLogs():
        mol = _parse_smiles(entry) if entry.smiles else _parse_block(entry)
    mol.SetProp("_Name", entry.name)
    return with_conformer(mol, seed) if entry.smiles else mol


def _parse_block(entry: Entry) -> Chem.Mol:
    if entry.block.count("\n") > MOST_LINES:
        raise UnreadableMolecule(entry.name, f"its block has more than {MOST_LINES:,} lines")
    try:
        mol = Chem.MolFromMolBlock(entry.block, removeHs=False)
        if mol is None:
            # Again, because only so RDKit tells what is wrong with it.
            mol = Chem.MolFromMolBlock(entry.block, removeHs=False, sanitize=False)
            if mol is not None:
                Chem.SanitizeMol(mol)
    except (ValueError, RuntimeError) as error:
        raise UnreadableMolecule(entry.name, f"RDKit refuses it ({_words(error)})") from error
    if mol is None or not mol.GetNumAtoms():
        raise UnreadableMolecule(entry.name, "RDKit reads no molecule in its block")
    return mol


def _parse_smiles(entry: Entry) -> Chem.Mol:
    if len(entry.smiles) > MOST_CHARACTERS:
        problem = f"its SMILES has more than {MOST_CHARACTERS:,} characters"
        raise UnreadableMolecule(entry.name, problem)
    parameters = Chem.SmilesParserParams()
    parameters.parseName = False  # what stands behind the SMILES in its cell is a mistake
    mol = Chem.MolFromSmiles(entry.smiles, parameters)
    if mol is None or not mol.GetNumAtoms():
        raise UnreadableMolecule(entry.name, f"RDKit reads no molecule in {entry.smiles[:80]!r}")
    return mol


def _sdf_entries(path: Path) -> Iterator[Entry]:
    lines: list[bytes] = []
    number, size, blank = 1, 0, True
    with open_binary(path) as file:
        # Pieces of a bounded length, should a file have no ends of lines.
        for line in iter(lambda: file.readline(MAX_ENTRY), b""):
            if line.startswith(_END_OF_ENTRY):
                yield _sdf_entry(path, number, lines, size)
                lines, number, size, blank = [], number + 1, 0, True
                continue
            size += len(line)
            blank = blank and not line.strip()
            if size <= MAX_ENTRY:
                lines.append(line.rstrip(b"\r\n"))
    if not blank:
        yield _sdf_entry(path, number, lines, size)


def _sdf_entry(path: Path, number: int, lines: Sequence[bytes], size: int) -> Entry:
    text = [_decode(line) for line in lines]
    name = " ".join(text[0].split()) if text else ""
    name = name or f"{path.name}:{number}"
    if size > MAX_ENTRY:
        return Entry(name, problem=f"the entry has {size:,} bytes, more than {MAX_ENTRY:,}")
    for i, line in enumerate(text):
        if i >= _HEADER and line.startswith(_END_OF_MOLECULE):
            return Entry(name, block="\n".join(text[: i + 1]) + "\n")
    return Entry(name, problem=f"the entry is cut off: it has no line {_END_OF_MOLECULE}")


def _table_entries(path: Path) -> Iterator[Entry]:
    suffix = suffix_of(path)
    with open_binary(path) as file:
        # With their ends, which a cell may hold.
        lines = (_decode(line.rstrip(b"\r\n")) + "\n" for line in file)
        if suffix in (".csv", ".tsv"):
            yield from _rows(path, lines, "\t" if suffix == ".tsv" else ",")
            return
        for number, line in enumerate(lines, start=1):
            smiles, name = _SMILES_LINE.fullmatch(line.strip()).groups()
            if smiles and not (number == 1 and smiles.lower() == "smiles"):
                yield Entry(" ".join(name.split()) or f"{path.name}:{number}", smiles=smiles)


def _rows(path: Path, lines: Iterator[str], delimiter: str) -> Iterator[Entry]:
    # Strictly: a quote that nothing closes would take all the rows behind it for one name.
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = [column.strip().lower() for column in next(rows, ())]
        if not columns:
            return
        if "smiles" not in columns:
            raise BadInput(
                f"{path}: no column SMILES among {', '.join(columns)[:200]}: its first line names "
                "the columns"
            )
        at = columns.index("smiles")
        names = next((columns.index(name) for name in NAME_COLUMNS if name in columns), None)
        for number, row in enumerate(rows, start=1):
            if not any(cell.strip() for cell in row):
                continue
            name = row[names].strip() if names is not None and names < len(row) else ""
            name = " ".join(name.split()) or f"{path.name}:{number}"
            smiles = row[at].strip() if at < len(row) else ""
            if any(cell.strip() for cell in row[len(columns) :]):
                problem = f"its row has {len(row)} cells, the header has {len(columns)}"
                yield Entry(name, problem=problem)
            else:
                yield Entry(name, smiles=smiles, problem="" if smiles else "its row has no SMILES")
    except csv.Error as error:
        raise BadInput(
            f"{path}: not a table that can be read from line {rows.line_num} on ({error})"
        ) from None


def _decode(line: bytes) -> str:
    # Latin-1 is what older programs wrote, and has no bytes that it does not know.
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _expected() -> str:
    return (
        f"SDF ({', '.join(SDF_SUFFIXES)}) or tables with SMILES ({', '.join(TABLE_SUFFIXES)}), "
        f"each also compressed ({', '.join(COMPRESSED)})"
    )


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
