"""Chains to files: PDB (version 3.30) and mmCIF (PDBx dictionary), backbone atoms only.

A residue is written with the atoms that have coordinates, and left out without any. Coordinates
keep three decimals and B-factors two; what is read again equals what was written. A B-factor that
is not there is written as 0.00, since other programs want a number.
"""

import gzip
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from biomatrix_jax.files import atomic_file
from biomatrix_jax.structure.protein.chains import BACKBONE, LETTERS, Chain, Number
from biomatrix_jax.structure.protein.errors import CannotWrite

_NAMES = {letter: name for name, letter in LETTERS.items()}
_UNKNOWN = "UNK"  # for X and any letter but those of the twenty
_COLUMNS = (
    *("group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id"),
    *("label_asym_id", "label_entity_id", "label_seq_id", "pdbx_PDB_ins_code"),
    *("Cartn_x", "Cartn_y", "Cartn_z", "occupancy", "B_iso_or_equiv", "auth_seq_id"),
    *("auth_asym_id", "pdbx_PDB_model_num"),
)
_BARE = re.compile(r"""[^\s_#$'";\[\]]\S*""")
_WORD = re.compile(r"loop_|stop_|global_|data_.*|save_.*|[.?]", re.IGNORECASE)
_PDB_ATOMS = 99_999
_PDB_WIDTH = 78  # of a line, up to the element
_AS_MMCIF = "write it as mmCIF"


class _Atom(NamedTuple):
    chain: Chain
    number: Number
    place: int  # in the chain, from 1
    residue: str
    name: str
    xyz: np.ndarray
    b_factor: float


def write(path: Path, chains: Sequence[Chain], entry: str = "", title: str = "") -> None:
    """Writes one model, as `content` says; a reader sees the whole file or none."""
    data = content(path.name, chains, entry, title)
    with atomic_file(path) as file:
        file.write(data)


def content(name: str, chains: Sequence[Chain], entry: str = "", title: str = "") -> bytes:
    """What goes into a file of this name: mmCIF where it ends in .cif or .mmcif, PDB otherwise,
    gzipped where .gz follows.

    Raises:
      CannotWrite: as `pdb_text` and `mmcif_text`.
    """
    mmcif = name.removesuffix(".gz").lower().endswith((".cif", ".mmcif"))
    data = (mmcif_text if mmcif else pdb_text)(chains, entry, title).encode("utf-8")
    return gzip.compress(data, mtime=0) if name.endswith(".gz") else data


def pdb_text(chains: Sequence[Chain], entry: str = "", title: str = "") -> str:
    """
    Args:
      chains: with coordinates in angstrom [L, 3 or 4, 3], N, CA, C and perhaps O. Where `numbers`
        has None for a residue with coordinates, it is one more than the residue before it, so that
        a chain without numbers counts from 1.
      entry: the id; the format has room for those of four letters.

    Raises:
      CannotWrite: the format has no room for a chain id, a number, a coordinate or so many atoms,
        two residues have a number or two chains an id, or a chain has no coordinates.
    """
    _check_ids(chains, entry)
    lines = [f"HEADER{'':56}{entry.upper()}"] if len(entry) == 4 else []
    parts = textwrap.wrap(title.encode("ascii", "replace").decode(), 69, break_on_hyphens=False)
    for number, part in enumerate(parts, start=1):
        lines.append(f"TITLE   {number:2} {part}" if number > 1 else f"TITLE     {part}")
    serial = 0
    for chain in chains:
        if len(chain.id) > 1 or not chain.id.isascii():
            problem = f"the PDB format has one ASCII letter for a chain: {_AS_MMCIF}"
            raise CannotWrite(entry, chain.id, problem)
        for atom in _atoms(chain, entry):
            serial += 1
            lines.append(_pdb_line(atom, serial, entry))
        lines.append(f"TER   {serial + 1:5}      {lines[-1][17:27]}")
        serial += 1
    if serial > _PDB_ATOMS:
        raise CannotWrite(entry, "", f"more than {_PDB_ATOMS:,} atoms: {_AS_MMCIF}")
    return "\n".join([*lines, "END", ""])


def mmcif_text(chains: Sequence[Chain], entry: str = "", title: str = "") -> str:
    """As `pdb_text`, with room for any id, number and coordinate."""
    _check_ids(chains, entry)
    name = re.sub(r"[^!-~]", "_", entry) or "structure"
    lines = [f"data_{name}", "#", f"_entry.id {_value(name)}", "#"]
    if title:
        lines += [f"_struct.entry_id {_value(name)}", f"_struct.title {_value(title)}", "#"]
    lines += ["loop_", *(f"_atom_site.{column}" for column in _COLUMNS)]
    serial = 0
    for entity, chain in enumerate(chains, start=1):
        identifier = _value(chain.id) if chain.id else "."
        for atom in _atoms(chain, entry):
            serial += 1
            number, insertion = atom.number
            x, y, z = (f"{value:.3f}" for value in atom.xyz)
            # In the order of _COLUMNS.
            values = (
                *("ATOM", serial, atom.name[0], atom.name, ".", atom.residue),
                *(identifier, entity, atom.place, _value(insertion) if insertion else "?"),
                *(x, y, z, "1.00", f"{atom.b_factor:.2f}", number, identifier, 1),
            )
            lines.append(" ".join(map(str, values)))
    return "\n".join([*lines, "#", ""])


def _value(text: str) -> str:
    """Text as one value of the CIF syntax: bare, in quotes that it does not end, or as a block."""
    text = " ".join(text.split())
    if _BARE.fullmatch(text) and not _WORD.fullmatch(text):
        return text
    for quote in "'\"":
        if f"{quote} " not in text:
            return f"{quote}{text}{quote}"
    return f"\n;{text}\n;"


def _check_ids(chains: Sequence[Chain], entry: str) -> None:
    for chain, count in Counter(chain.id for chain in chains).items():
        if count > 1:
            raise CannotWrite(entry, chain, f"{count} chains have this id")


def _atoms(chain: Chain, entry: str) -> Iterator[_Atom]:
    if not np.isfinite(chain.backbone).all(axis=2).any():
        raise CannotWrite(entry, chain.id, "no atom has coordinates")
    previous = 0
    numbers: set[Number] = set()
    for place, number in enumerate(chain.numbers):
        number = number or (previous + 1, "")
        previous = number[0]
        whole = np.isfinite(chain.backbone[place]).all(axis=1)
        if not whole.any():
            continue
        if number in numbers:
            problem = f"two residues have the number {number[0]}{number[1]}"
            raise CannotWrite(entry, chain.id, problem)
        numbers.add(number)
        b_factor = float(np.nan_to_num(chain.b_factors[place], nan=0.0))
        residue = _NAMES.get(chain.sequence[place], _UNKNOWN)
        for name, xyz, there in zip(BACKBONE, chain.backbone[place], whole, strict=False):
            if there:
                yield _Atom(chain, number, place + 1, residue, name, xyz, b_factor)


def _pdb_line(atom: _Atom, serial: int, entry: str) -> str:
    number, insertion = atom.number
    x, y, z = (f"{value:8.3f}" for value in atom.xyz)
    line = (
        f"ATOM  {serial:5}  {atom.name:3} {atom.residue:3} {atom.chain.id:1}{number:4}"
        f"{insertion:1}   {x}{y}{z}  1.00{atom.b_factor:6.2f}          {atom.name[0]:>2}"
    )
    if len(line) > _PDB_WIDTH and serial <= _PDB_ATOMS:
        what = f"residue {number}{insertion}: its number, a coordinate or B-factor"
        raise CannotWrite(
            entry, atom.chain.id, f"{what} is too long for the PDB format: {_AS_MMCIF}"
        )
    return line
