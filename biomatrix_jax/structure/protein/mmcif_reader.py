"""The mmCIF format (CIF 1.1 syntax, PDBx dictionary): the table of atoms, row by row.

Rows are read as they come, so that a large file takes no more memory than the atoms kept of it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from math import nan

from biomatrix_jax.structure.protein.assembly import Assembly, Atom, Unreadable

FARTHEST = 1e6  # angstrom from the origin; further out float32 does not hold a bond
_TOKEN = re.compile(
    r"""'(?P<single>.*?)'(?=\s|$)|"(?P<double>.*?)"(?=\s|$)|(?P<note>\#.*)|(?P<bare>\S+)"""
)
_WORD = re.compile(r"_.*|loop_|stop_|global_|data_.*|save_.*", re.IGNORECASE)
_INTEGER = re.compile(r"[-+]?[0-9]{1,9}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_UNKNOWN = (".", "?")
_IDS = ("_entry.id", "_struct.entry_id", "_exptl.entry_id")
_TITLE = "_struct.title"
# The archives' files have this item, and end every table with a "#", the last one too.
_ARCHIVED = "_audit_conform.dict_name"
_CUT_SHORT = "the file is cut short: fetch it again"


class _Quoted(str):
    """A value in quotes or in a text block, which is never a word of the language."""


def read_mmcif(lines: Iterable[str], assembly: Assembly) -> tuple[str, str]:
    """Reads the first model into `assembly`; returns the entry's id and title, empty if not given.

    Chain ids and residue numbers are the authors', or the archive's where there are no others.

    Raises:
      Unreadable: the text is no mmCIF, is cut short, has no atoms, or a row of them is damaged.
    """
    items: dict[str, str] = {}
    loop: _Loop | None = None
    name, ended = "", True  # name: of the item whose value comes next
    tables = 0
    for number, tokens in _tokens(lines):
        ended = not tokens
        if loop and loop.is_row_of_atoms(tokens):
            loop.atoms.add(tokens, number)
            continue
        for token in tokens:
            if type(token) is _Quoted or not _WORD.fullmatch(token):
                if loop:
                    loop.add(token, number, assembly)
                elif name:
                    items[name], name = token, ""
                else:
                    raise Unreadable(f"a value that belongs to no item (line {number})")
            elif name:
                raise Unreadable(f"{name} has no value (line {number})")
            elif loop and token.startswith("_") and not loop.begun:
                loop.columns.append(token.lower())
            else:
                tables += bool(loop and loop.close())
                loop = _Loop() if token.lower() == "loop_" else None
                name = token.lower() if token.startswith("_") else ""
    tables += bool(loop and loop.close())
    if name or (_ARCHIVED in items and not ended):
        raise Unreadable(_CUT_SHORT)
    if tables != 1:
        raise Unreadable(f"{tables or 'no'} tables of atoms (_atom_site): there should be one")
    identifier = next((items[key] for key in _IDS if items.get(key, "?") not in _UNKNOWN), "")
    title = items.get(_TITLE, "?")
    return identifier, "" if title in _UNKNOWN else title


class _Loop:
    """A table that is being read. Rows of atoms are passed on, those of others forgotten."""

    def __init__(self):
        self.columns: list[str] = []
        self.begun = False  # whether values have come, and the columns are all
        self.atoms: _Atoms | None = None
        self._row: list[str] = []

    def add(self, value: str, line: int, assembly: Assembly) -> None:
        if not self.begun:
            self.begun = True
            if not self.columns:
                raise Unreadable(f"a table without columns (line {line})")
            if any(column.startswith("_atom_site.") for column in self.columns):
                self.atoms = _Atoms(self.columns, assembly)
        self._row.append(value)
        if len(self._row) == len(self.columns):
            if self.atoms:
                self.atoms.add(self._row, line)
            self._row = []

    def is_row_of_atoms(self, tokens: list[str]) -> bool:
        """Whether these are one row, as they nearly always are: then they need no closer look."""
        return (
            self.atoms is not None
            and not self._row
            and len(tokens) == len(self.columns)
            and tokens[0] in ("ATOM", "HETATM")
        )

    def close(self) -> bool:
        """Whether there were atoms."""
        if self._row or not self.begun:
            raise Unreadable(f"a table of {len(self.columns)} columns ends in a row: {_CUT_SHORT}")
        return self.atoms is not None


class _Atoms:
    """The columns of `_atom_site`: Biopython's choice among them, with its defaults for PDB."""

    def __init__(self, columns: list[str], assembly: Assembly):
        places = {column.removeprefix("_atom_site."): i for i, column in enumerate(columns)}
        if len(places) != len(columns):
            raise Unreadable("the table of atoms has a column twice")

        def place(*names: str) -> int:
            for name in names:
                if name in places:
                    return places[name]
            raise Unreadable(f"the table of atoms has no column {names[0]}")

        self._group, self._name = place("group_pdb"), place("label_atom_id")
        self._residue = place("label_comp_id")
        self._chain = place("auth_asym_id", "label_asym_id")
        self._number = place("auth_seq_id", "label_seq_id")
        self._coordinates = [place(f"cartn_{axis}") for axis in "xyz"]
        self._altloc, self._insertion = places.get("label_alt_id"), places.get("pdbx_pdb_ins_code")
        self._occupancy, self._b = places.get("occupancy"), places.get("b_iso_or_equiv")
        self._model = places.get("pdbx_pdb_model_num")
        self._first: str | None = None  # model
        self._assembly = assembly

    def add(self, row: Sequence[str], line: int) -> None:
        if self._model is not None:
            self._first = self._first or row[self._model]
            if row[self._model] != self._first:
                return
        chain = "" if row[self._chain] in _UNKNOWN else row[self._chain]
        if row[self._group] == "HETATM":
            self._assembly.mention(chain)
            return
        if row[self._group] != "ATOM":
            raise Unreadable(
                f"a row of atoms out of place (line {line}): {row[self._group][:40]!r}"
            )
        number = row[self._number]
        if number in _UNKNOWN:
            self._assembly.damage(chain, f"an atom without a residue number (line {line})")
            return
        if not _INTEGER.fullmatch(number):
            raise Unreadable(f"residue number {number[:40]!r} (line {line})")
        insertion = _known(row, self._insertion, " ")
        if insertion != " " and not insertion.isalpha():
            raise Unreadable(f"insertion code {insertion[:40]!r} (line {line})")
        x, y, z = (_coordinate(row[place], line) for place in self._coordinates)
        atom = Atom(
            chain=chain,
            residue=row[self._residue],
            number=int(number),
            insertion=insertion,
            name=row[self._name],
            spelling=row[self._name],
            altloc=_known(row, self._altloc, " "),
            coordinates=(x, y, z),
            occupancy=_number(_known(row, self._occupancy, ""), 0.0),
            b_factor=_number(_known(row, self._b, ""), nan),
            line=line,
        )
        self._assembly.add(atom)


def _known(row: Sequence[str], place: int | None, default: str) -> str:
    return default if place is None or row[place] in _UNKNOWN else row[place]


def _number(value: str, default: float) -> float:
    return float(value) if _NUMBER.fullmatch(value) else default


def _coordinate(value: str, line: int) -> float:
    if value in _UNKNOWN or value.lower() == "nan":
        return nan
    if not _NUMBER.fullmatch(value) or abs(float(value)) >= FARTHEST:
        raise Unreadable(f"coordinate {value[:40]!r} (line {line})")
    return float(value)


def _tokens(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The values and words of each line that has any, none for a comment, with the line's number.

    A text block, lines between two that begin with a semicolon, is one value of its last line.
    """
    block: list[str] | None = None
    number = 0
    for number, line in enumerate(lines, start=1):
        if block is not None:
            if not line.startswith(";"):
                block.append(line)
                continue
            yield number, [_Quoted("\n".join(block)), *_split(line[1:], number)]
            block = None
        elif line.startswith(";"):
            block = [line[1:]]
        elif line.strip():
            yield number, _split(line, number)
    if block is not None:
        raise Unreadable(f"a text block has no end: {_CUT_SHORT}")


def _split(line: str, number: int) -> list[str]:
    if not any(mark in line for mark in "'\"#"):
        return line.split()
    tokens: list[str] = []
    for found in _TOKEN.finditer(line):
        if (note := found.lastgroup) == "note":
            break
        if note == "bare" and found["bare"][0] in "'\"":
            raise Unreadable(f"a quote has no end (line {number})")
        tokens.append(found["bare"] if note == "bare" else _Quoted(found[note]))
    return tokens
