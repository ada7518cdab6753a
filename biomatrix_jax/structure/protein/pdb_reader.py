"""The PDB format (version 3.30): atoms by columns, strictly.

A reader that takes what stands in the columns gives wrong coordinates and numbers in silence where
a field has overflowed and the others moved. So a line is read only if its fields end where the
format says: numbers of residues whole, three decimals in each coordinate, blanks between.
"""

import re
from collections.abc import Iterable
from math import nan

from biomatrix_jax.structure.protein.assembly import Assembly, Atom, Unreadable
from biomatrix_jax.structure.protein.chains import LETTERS

_INTEGER = re.compile(r" *-?[0-9]+ *")
_COORDINATE = re.compile(r" *[-+]?[0-9]*\.[0-9]{3}")
_NUMBER = re.compile(r" *[-+]?[0-9]*\.?[0-9]+ *")
_OCCUPANCY = re.compile(r" *[0-9]*\.[0-9]{2}")
_SERIAL = re.compile(r" *[0-9]+")
_STARS = re.compile(r"\*+")  # what Fortran writes where a number has no room
_THREE_COORDINATES = re.compile(r"(?:[ 0-9-]{4}\.[0-9]{3}){3}")
_OF_AN_ATOM = ("ANISOU", "SIGATM", "SIGUIJ")
_COORDINATES_END = 54  # columns
_LAST = ("END", "CONECT", "MASTER")
# The archives' files have these, and END at the end. Programs that write no END leave out some.
_ARCHIVED = ("HEADER", "EXPDTA", "SEQRES")
_ADVICE = "an overflowed or shifted column: write the structure as mmCIF"


def read_pdb(lines: Iterable[str], assembly: Assembly) -> tuple[str, str]:
    """Reads the first model into `assembly`; returns the entry's id and title, empty if not given.

    Raises:
      Unreadable: the text is no PDB file, an archive's that is cut short, or a line of it is not as
        the format says.
    """
    entry, title = "", []
    found = finished = ended = False
    missing = set(_ARCHIVED)
    for number, line in enumerate(lines, start=1):
        record = line[:6].rstrip()
        missing.discard(record)
        if finished:
            continue  # what follows is read all the same: damaged gzip data show only then
        if line.startswith(("ATOM", "HETATM", *_OF_AN_ATOM)) and "ATOM" in line[54:]:
            raise Unreadable(f"two records on one line (line {number})")
        if line.startswith(("ATOM", "HETATM")):
            if ended:
                raise Unreadable(
                    f"atoms after the end (line {number}): give each model MODEL and ENDMDL "
                    "records, or a file of its own"
                )
            found = True
            if line.startswith("ATOM"):
                assembly.add(_atom(line, number))
            else:
                assembly.mention(line[21:22])
        elif record not in ("REMARK", *_OF_AN_ATOM) and _THREE_COORDINATES.search(line):
            raise Unreadable(f"coordinates on a line that is no ATOM record (line {number})")
        elif record in ("MODEL", "ENDMDL"):
            finished = found
        elif record in _LAST:
            ended = True
        elif record == "HEADER":
            entry = entry or "".join(re.findall(r"^.{62}(\w{4})", line))
        elif record == "TITLE":
            title.append(line[10:80])
    if not found:
        raise Unreadable("no ATOM or HETATM record: not a PDB or mmCIF file")
    if not (missing or finished or ended):
        raise Unreadable("no END: the file is cut short: fetch it again, or end it with END")
    return entry, " ".join(title)


def _atom(line: str, number: int) -> Atom:
    if len(line) < _COORDINATES_END:
        raise Unreadable(f"an atom without three coordinates (line {number})")
    residue, chain = line[17:20], line[21]
    if residue in LETTERS and line[20] != " ":
        raise Unreadable(
            f"column 21 is not blank (line {number}): residue names of four letters and chain ids "
            "of two need mmCIF"
        )
    if not line[26].isalpha() and line[26] != " ":
        raise Unreadable(f"residue number {line[22:27]!r} (line {number}): {_ADVICE}")
    if not _INTEGER.fullmatch(line[22:26]):
        raise Unreadable(f"residue number {line[22:26]!r} (line {number}): {_ADVICE}")
    fields = _coordinates(line)
    # Serial numbers past 99,999 may take the columns to their left, and may be no numbers at all.
    serial_fits = line[4:6] == "  " or _SERIAL.fullmatch(line[4:11])
    if not serial_fits or line[27:30].strip() or not all(map(_is_coordinate, fields)):
        raise Unreadable(f"coordinates {line[27:54]!r} (line {number}): {_ADVICE}")
    spelling = line[12:16]
    x, y, z = map(float, fields)
    return Atom(
        chain=chain,
        residue=residue.strip(),
        number=int(line[22:26]),
        insertion=line[26],
        name=spelling.strip() if len(spelling.split()) == 1 else spelling,
        spelling=spelling,
        altloc=line[16],
        coordinates=(x, y, z),
        # Occupancies decide between alternate locations; without them the first is taken.
        occupancy=_number(line[54:60], 0.0, number, _NUMBER if line[16] == " " else _OCCUPANCY),
        b_factor=_number(line[60:66], nan, number),
        where=f"line {number}",
    )


def _coordinates(line: str) -> tuple[str, str, str]:
    return line[30:38], line[38:46], line[46:54]


def _is_coordinate(field: str) -> bool:
    return bool(_COORDINATE.fullmatch(field)) or field.strip().lower() == "nan"


def _number(field: str, default: float, line: int, form: re.Pattern = _NUMBER) -> float:
    if not field.strip() or _STARS.fullmatch(field) or field.strip().lower() == "nan":
        return default
    if not form.fullmatch(field):
        raise Unreadable(f"occupancy or B-factor {field!r} (line {line}): {_ADVICE}")
    return float(field)
