"""The mmCIF format (PDBx dictionary): the table of atoms, by the columns that Biopython reads.

gemmi reads the CIF syntax, strictly: a value too many or too few is an error, never a shift.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import repeat
from math import nan
from typing import TYPE_CHECKING, NamedTuple

from biomatrix_jax.structure.protein.assembly import Assembly, Atom, Unreadable
from biomatrix_jax.structure.protein.chains import FARTHEST

if TYPE_CHECKING:
    from gemmi import cif

_INTEGER = re.compile(r"[-+]?[0-9]{1,9}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_UNKNOWN = (".", "?")
_IDS = ("_entry.id", "_struct.entry_id", "_exptl.entry_id")
_TITLE = "_struct.title"
# The archives' files have this item, and end every table with a "#", the last one too. Programs
# that save them again may keep the item and leave out all comments.
_ARCHIVED = "_audit_conform.dict_name"
_SEPARATOR = re.compile(r"^# *$", re.MULTILINE)
_CUT_SHORT = "the file is cut short or damaged: fetch it again"
# Of gemmi's messages: the line, where there is one, and what is wrong.
_MESSAGE = re.compile(r"string:(?:(\d+)\S*)?(.*)", re.DOTALL)
_ATOMS = "_atom_site."


class _Row(NamedTuple):
    """What is read of an atom, as it is written."""

    group: str
    name: str
    residue: str
    chain: str
    number: str
    x: str
    y: str
    z: str
    altloc: str
    insertion: str
    occupancy: str
    b_factor: str
    model: str


# In the order of `_Row`, the first that the table has: Biopython's choice, with its defaults for
# what PDB files lack.
_NEEDED = (
    ("group_PDB",),
    ("label_atom_id",),
    ("label_comp_id",),
    ("auth_asym_id", "label_asym_id"),
    ("auth_seq_id", "label_seq_id"),
    ("Cartn_x",),
    ("Cartn_y",),
    ("Cartn_z",),
)
_OPTIONAL = (
    "label_alt_id",
    "pdbx_PDB_ins_code",
    "occupancy",
    "B_iso_or_equiv",
    "pdbx_PDB_model_num",
)
# All of them, in lower case: names of items do not depend on it.
ITEMS = frozenset(
    name.lower()
    for name in (
        *_IDS,
        _TITLE,
        *(_ATOMS + column for names in _NEEDED for column in names),
        *(_ATOMS + column for column in _OPTIONAL),
    )
)


def read_mmcif(lines: Iterable[str], assembly: Assembly) -> tuple[str, str]:
    """Reads the first model into `assembly`; returns the entry's id and title, empty if not given.

    Chain ids and residue numbers are the authors', or the archive's where there are no others.

    Raises:
      Unreadable: the text is no mmCIF, is cut short, has no atoms, or a row of them is damaged.
    """
    from gemmi import cif

    text = "\n".join(lines)
    try:
        document = cif.read_string(text)
    except (ValueError, RuntimeError) as error:
        line, problem = _MESSAGE.fullmatch(str(error)).groups()
        where = f" (line {line})" if line else ""
        raise Unreadable(f"{problem.strip()[:120]}{where}: {_CUT_SHORT}") from None
    archived = any(block.find_value(_ARCHIVED) for block in document)
    if archived and _SEPARATOR.search(text) and not text.rstrip().endswith("#"):
        raise Unreadable(_CUT_SHORT)
    return read_document(document, assembly)


def read_document(document: "cif.Document", assembly: Assembly) -> tuple[str, str]:
    """`read_mmcif` of what has been parsed; of it, only `ITEMS` are looked at."""
    first: str | None = None  # model
    for number, row in enumerate(_rows(document), start=1):
        first = first or row.model
        if row.model == first:
            _add(row, f"row {number}", assembly)
    identifier = next(filter(None, (_item(document, key) for key in _IDS)), "")
    return identifier, _item(document, _TITLE)


def _rows(document: "cif.Document") -> Iterator[_Row]:
    tables = []
    for block in document:
        for item in block:
            if item.loop is None:
                continue
            if not item.loop.length():
                raise Unreadable(f"the table of {item.loop.tags[0]} has no row: {_CUT_SHORT}")
            if item.loop.tags[0].lower().startswith(_ATOMS):
                tables.append((block, item.loop))
    if len(tables) != 1:
        raise Unreadable(f"{len(tables) or 'no'} tables of atoms (_atom_site): there should be one")
    [(block, loop)] = tables
    tags = {tag.lower(): tag for tag in loop.tags}

    def column(*names: str) -> Iterable[str] | None:
        found = (tags.get(f"{_ATOMS}{name}".lower()) for name in names)
        tag = next(filter(None, found), None)
        return tag and block.find_loop(tag)

    columns = []
    for names in _NEEDED:
        if not (values := column(*names)):
            raise Unreadable(f"the table of atoms has no column {names[0]}")
        columns.append(values)
    optional = [column(name) or repeat("?") for name in _OPTIONAL]
    return map(_Row, *columns, *optional)


def _add(row: _Row, where: str, assembly: Assembly) -> None:
    chain = _known(row.chain, "")
    if row.group == "HETATM":
        assembly.mention(chain)
        return
    if row.group != "ATOM":
        raise Unreadable(f"a row of atoms out of place ({where}): {row.group!r}")
    if row.number in _UNKNOWN:
        assembly.damage(chain, f"an atom without a residue number ({where})")
        return
    if not _INTEGER.fullmatch(row.number):
        raise Unreadable(f"residue number {row.number[:40]!r} ({where})")
    insertion = _known(row.insertion, " ")
    if insertion != " " and not insertion.isalpha():
        raise Unreadable(f"insertion code {insertion!r} ({where})")
    name = _known(row.name, row.name)
    assembly.add(
        Atom(
            chain=chain,
            residue=_known(row.residue, row.residue),
            number=int(row.number),
            insertion=insertion,
            name=name,
            spelling=name,
            altloc=_known(row.altloc, " "),
            coordinates=(
                _coordinate(row.x, where),
                _coordinate(row.y, where),
                _coordinate(row.z, where),
            ),
            occupancy=_number(row.occupancy, 0.0),
            b_factor=_number(row.b_factor, nan),
            where=where,
        )
    )


def _item(document: "cif.Document", key: str) -> str:
    values = (block.find_value(key) for block in document)
    return next((_known(value, "") for value in values if value), "")


def _known(value: str, default: str) -> str:
    """A value without its quotes."""
    if value in _UNKNOWN:
        return default
    if value[0] not in "'\";":
        return value
    from gemmi import cif

    return cif.as_string(value)


def _number(value: str, default: float) -> float:
    return float(value) if _NUMBER.fullmatch(value) else default


def _coordinate(value: str, where: str) -> float:
    if value in _UNKNOWN or value.lower() == "nan":
        return nan
    if not _NUMBER.fullmatch(value) or abs(float(value)) >= FARTHEST:
        raise Unreadable(f"coordinate {value[:40]!r} ({where})")
    return float(value)
