"""SMILES as RDKit writes it -> SELFIES with a place for each atom's structure code."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from biomatrix_jax.structure.molecule import selfies_symbols as symbols
from biomatrix_jax.tokens.families import NO_CODE, molecule_token

_PIECES = re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|%\(\d+\)|.", re.DOTALL)
# Upper case: kekulized. Written without brackets, and the letters of two are pieces above.
_ATOM = re.compile(r"\[\d*[A-Z].*\]|Br|Cl|[BCNOPSFI]")
_ORDERS = {"-": 1, "=": 2, "#": 3}


class CannotSpell(ValueError):
    """Why SELFIES cannot express a molecule."""


@dataclass(frozen=True)
class Spelling:
    """A molecule in SELFIES.

    Attributes:
      template: the `[SELFIES code]` tokens with %d in place of each atom's code.
      focal: of each atom the latest earlier atom bonded to it; -1 for the first.
    """

    template: str
    focal: Sequence[int]


def spell(smiles: str) -> Spelling:
    """What the SELFIES encoder makes of a kekulized SMILES without stereo, of one fragment.

    Raises:
      CannotSpell: an atom has more bonds than SELFIES allows, or something has no symbol.
    """
    pieces, tokens = [], 0
    focal, used, capacities, orders = [], [], [], []  # of each atom; orders of the bonds into it
    branches = []  # open ones: atom before, place of its symbol, tokens up to there, first atom
    rings = {}  # open ones: atom and bond order
    current, order = -1, 1
    for piece in _PIECES.findall(smiles):
        if piece == "(":
            branches.append((current, len(pieces), tokens, len(focal)))
            pieces.append("")  # filled in when the branch's length is known
        elif piece == ")":
            current, place, before, first = branches.pop()
            pieces[place], count = _branch(orders[first], tokens - before - 1)
            tokens += count
        elif piece in _ORDERS:
            order = _ORDERS[piece]
        elif piece[0] in "0123456789%":
            if piece in rings:
                opened, other_order = rings.pop(piece)
                order = max(order, other_order)
                text, count = _ring(order, current - opened - 1)
                pieces.append(text)
                tokens += count
                focal[current] = max(focal[current], opened)
                used[opened] += order
                used[current] += order
            else:
                rings[piece] = (current, order)
            order = 1
        else:
            text, capacity = _atom(order, piece)
            pieces.append(text)
            tokens += 1
            focal.append(current)
            capacities.append(capacity)
            orders.append(order)
            used.append(0)
            if current >= 0:
                used[current] += order
                used[-1] = order
            current, order = len(focal) - 1, 1
    for index, (bonds, capacity) in enumerate(zip(used, capacities, strict=True)):
        if bonds > capacity:
            raise CannotSpell(
                f"{_nth_atom(smiles, index)} with {bonds} bonds, where SELFIES allows {capacity}"
            )
    return Spelling("".join(pieces), focal)


@functools.lru_cache(maxsize=4096)
def _atom(order: int, smiles: str) -> tuple[str, int]:
    """The token of an atom behind a bond, with %d for its code, and its capacity."""
    if ":" in smiles and _ATOM.fullmatch(smiles):
        raise CannotSpell(
            f"the atom map of {smiles} would be lost: clear it (atom.SetAtomMapNum(0))"
        )
    body = symbols.atom_body(smiles) if _ATOM.fullmatch(smiles) else None
    atom = symbols.atom(f"[{body}]") if body else None
    if atom is None:
        raise CannotSpell(f"it has no symbol for {smiles}")
    return f"[{symbols.BONDS[order]}{body} %d]", atom.capacity


@functools.lru_cache(maxsize=4096)
def _branch(order: int, length: int) -> tuple[str, int]:
    return _counted("Branch", order, length)


@functools.lru_cache(maxsize=4096)
def _ring(order: int, length: int) -> tuple[str, int]:
    return _counted("Ring", order, length)


def _counted(kind: str, order: int, value: int) -> tuple[str, int]:
    """The tokens of a ring or branch with its number, and how many they are."""
    digits = symbols.number(value)
    if len(digits) > symbols.MAX_DIGITS:
        limit = len(symbols.DIGITS) ** symbols.MAX_DIGITS
        raise CannotSpell(f"a {kind.lower()} is longer than {limit}")
    tokens = (f"[{symbols.BONDS[order]}{kind}{len(digits)}]", *digits)
    return "".join(molecule_token(token, NO_CODE) for token in tokens), len(tokens)


def _nth_atom(smiles: str, index: int) -> str:
    atoms = [piece for piece in _PIECES.findall(smiles) if _ATOM.fullmatch(piece)]
    return atoms[index].strip("[]")
