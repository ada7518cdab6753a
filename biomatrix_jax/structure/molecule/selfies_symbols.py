"""The symbols of SELFIES: which atoms, bonds, rings, branches and numbers they stand for.

SELFIES of version 2 (Krenn et al. 2022, arXiv 2204.00056) with its default valence rules. What the
`selfies` package says of single symbols is asked of it once and kept; strings are written and read
by `selfies_writer` and `selfies_reader`, an order of magnitude faster than there.
"""

import functools
import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import selfies

NO_OPERATION = "[nop]"
END = "[epsilon]"  # or anything else with eps in it
BONDS = {1: "", 2: "=", 3: "#"}  # order: how SMILES and SELFIES write it

# Symbols as digits of a number in base 16, behind a ring or branch.
DIGITS = (
    *("[C]", "[Ring1]", "[Ring2]", "[Branch1]", "[=Branch1]", "[#Branch1]", "[Branch2]"),
    *("[=Branch2]", "[#Branch2]", "[O]", "[N]", "[=N]", "[=C]", "[#C]", "[S]", "[P]"),
)
MAX_DIGITS = 3
_VALUES = {symbol: value for value, symbol in enumerate(DIGITS)}

_ORDERS = {"": 1, "=": 2, "#": 3, "/": 1, "\\": 1, "-": 1}
_ATOM = re.compile(r"\[([=#/\\]?)(.+)\]")
# As the package writes an atom in SMILES: C, [N+1], [13CH2-1].
_SMILES_ATOM = re.compile(r"\[?\d*([A-Z][a-z]?)@*(?:H(\d+))?([+-]\d+)?\]?")

_CAPACITIES = selfies.get_preset_constraints("default")


class Atom(NamedTuple):
    """What an atom's symbol says."""

    order: int  # of the bond that it asks for
    mark: str  # "/" or "\\" on that bond, or nothing
    smiles: str  # the atom alone, as SMILES writes it
    capacity: int  # sum of the orders of all bonds that it can have


class Ring(NamedTuple):
    """What a ring's symbol says."""

    order: int
    digits: int  # symbols behind it that tell how far back the ring closes
    marks: tuple[str, str]  # at the atom that opens the ring, and at the one that closes it


class Branch(NamedTuple):
    """What a branch's symbol says."""

    order: int  # the most that the bond into the branch may have
    digits: int  # symbols behind it that tell how long the branch is


@functools.lru_cache(maxsize=4096)
def meaning(symbol: str) -> "Atom | Ring | Branch | str | None":
    """What a symbol says where it is no digit: an atom, a ring, a branch or END; None: nothing."""
    # The package tells kinds apart by these letters, and so [eps9] is an end and [xRing1] nothing.
    if symbol[-4:-2] == "ch":
        return BRANCHES.get(symbol)
    if symbol[-4:-2] == "ng":
        return RINGS.get(symbol)
    return END if "eps" in symbol else atom(symbol)


@functools.lru_cache(maxsize=4096)
def atom(symbol: str) -> Atom | None:
    """The atom that a symbol like [=C] or [N+1] stands for, None where there is no such."""
    match = _ATOM.fullmatch(symbol)
    try:
        smiles = selfies.decoder(f"[{match[2]}]") if match else ""
    except selfies.DecoderError:
        return None
    spelled = _SMILES_ATOM.fullmatch(smiles)
    if not spelled:
        return None
    element, hydrogens, charge = spelled.groups()
    charge = f"{int(charge):+}" if charge else ""
    capacity = _CAPACITIES.get(element + charge, _CAPACITIES["?"]) - int(hydrogens or 0)
    if capacity < 0:
        return None
    mark = match[1] if match[1] in ("/", "\\") else ""
    return Atom(_ORDERS[match[1]], mark, smiles, capacity)


@functools.lru_cache(maxsize=4096)
def atom_body(smiles: str) -> str | None:
    """How SELFIES writes an atom of SMILES, without brackets: [NH3+] -> NH3+1; None: it cannot."""
    try:
        return selfies.encoder(smiles, strict=False)[1:-1]
    except selfies.EncoderError:
        return None


def number(value: int) -> tuple[str, ...]:
    """The symbols that spell a number of 0 or more, the most significant first."""
    symbols = [DIGITS[value % len(DIGITS)]]
    while value := value // len(DIGITS):
        symbols.append(DIGITS[value % len(DIGITS)])
    return tuple(reversed(symbols))


def value_of(symbols: Sequence[str], digits: int) -> int:
    """The number that symbols spell; those that are no digit, or missing at the end, count as 0."""
    value = 0
    for symbol in symbols:
        value = value * len(DIGITS) + _VALUES.get(symbol, 0)
    return value * len(DIGITS) ** (digits - len(symbols))


def _branches() -> dict[str, Branch]:
    return {
        f"[{bond}Branch{digits}]": Branch(order, digits)
        for digits in range(1, MAX_DIGITS + 1)
        for order, bond in BONDS.items()
    }


def _rings() -> dict[str, Ring]:
    rings = {}
    for digits in range(1, MAX_DIGITS + 1):
        for order, bond in BONDS.items():
            rings[f"[{bond}Ring{digits}]"] = Ring(order, digits, ("", ""))
        for pair in itertools.product("-/\\", repeat=2):
            if pair != ("-", "-"):
                marks = tuple(mark.strip("-") for mark in pair)
                rings[f"[{''.join(pair)}Ring{digits}]"] = Ring(1, digits, marks)
    return rings


BRANCHES = _branches()
RINGS = _rings()
