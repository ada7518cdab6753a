"""SELFIES symbols -> the SMILES that they spell, and which of them place an atom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from biomatrix_jax.structure.molecule import selfies_symbols as symbols


class CannotRead(ValueError):
    """Why symbols are not SELFIES."""


@dataclass(frozen=True)
class Reading:
    """The molecule that symbols spell; its atoms in the order in which they are placed.

    Attributes:
      smiles: kekulized; what the SELFIES decoder writes.
      placed_by: of each atom the index of the symbol that placed it.
      focal: of each atom the latest earlier atom bonded to it; -1 for the first.
    """

    smiles: str
    placed_by: Sequence[int]
    focal: Sequence[int]


class _RingBond(NamedTuple):
    opened: int
    closed: int
    ring: symbols.Ring
    order: int


class _Graph(NamedTuple):
    """Atoms in their order, each with the bond to its parent; rings that ask to be closed."""

    atoms: list[symbols.Atom]
    placed_by: list[int]
    parents: list[int]
    orders: list[int]
    ring_bonds: list[_RingBond]


def read(tokens: Sequence[str]) -> Reading:
    """Reads symbols as the SELFIES decoder does: whatever has no meaning where it stands is passed
    over, and bonds are lowered to what their atoms can have.

    Raises:
      CannotRead: a symbol that is reached is none of SELFIES.
    """
    graph = _derive(tokens)
    focal = list(graph.parents)
    closures = _close_rings(graph) if graph.ring_bonds else {}
    for opened, closed in closures:
        focal[closed] = max(focal[closed], opened)
    return Reading(_write(graph, closures), graph.placed_by, focal)


def _derive(tokens: Sequence[str]) -> _Graph:
    """Atoms and the tree of their bonds.

    The state is how many bonds the atom at hand can still have: 0 before the first atom, None
    where nothing can follow in this branch.
    """
    graph = _Graph([], [], [], [], [])
    atoms, placed_by, parents, orders, ring_bonds = graph
    at = range(len(tokens))
    if symbols.NO_OPERATION in tokens:
        at = [i for i in at if tokens[i] != symbols.NO_OPERATION]
        tokens = [tokens[i] for i in at]
    position, stop, state, current = 0, len(tokens), 0, -1
    outer = []  # of each branch that is open, what holds again behind it: stop, state, atom
    while True:
        if position >= stop or state is None:
            if not outer:
                return graph
            position = max(position, stop)  # a branch that ends early still takes up its length
            stop, state, current = outer.pop()
            continue
        symbol = symbols.meaning(tokens[position])
        position += 1
        if isinstance(symbol, symbols.Atom):
            order = min(symbol.order, state, symbol.capacity)
            if order or not state:
                atoms.append(symbol)
                placed_by.append(at[position - 1])
                parents.append(current)
                orders.append(order)
                current = len(atoms) - 1
            state = symbol.capacity - order or None
        elif isinstance(symbol, symbols.Branch):
            if state > 1:
                inner = min(state - 1, symbol.order)
                behind = position + symbol.digits
                length = symbols.value_of(tokens[position:behind], symbol.digits) + 1
                outer.append((stop, state - inner, current))
                position, stop, state = behind, min(behind + length, len(tokens)), inner
        elif isinstance(symbol, symbols.Ring):
            if state:
                order = min(symbol.order, state)
                behind = position + symbol.digits
                back = symbols.value_of(tokens[position:behind], symbol.digits) + 1
                ring_bonds.append(_RingBond(max(0, current - back), current, symbol, order))
                position, state = behind, state - order or None
        elif symbol is symbols.END:
            state = None if state else 0
        else:
            raise CannotRead(f"{tokens[position - 1]} is no symbol of it")


def _close_rings(graph: _Graph) -> dict[tuple[int, int], tuple[int, tuple[str, str]]]:
    """Ring bonds that there is room for: (earlier, later atom) -> order and stereo marks.

    A ring between atoms that are bonded already raises that bond's order.
    """
    free = [atom.capacity for atom in graph.atoms]
    for i, (parent, order) in enumerate(zip(graph.parents, graph.orders, strict=True)):
        free[i] -= order
        if parent >= 0:
            free[parent] -= order
    closures = {}
    for opened, closed, ring, wanted in graph.ring_bonds:
        order = min(wanted, free[opened], free[closed])
        if opened == closed or order <= 0:
            continue
        if graph.parents[closed] == opened:
            before = graph.orders[closed]
            after = graph.orders[closed] = min(before + order, 3)
        elif (opened, closed) in closures:
            before, marks = closures[opened, closed]
            after = min(before + order, 3)
            closures[opened, closed] = after, marks
        else:
            before, after = 0, order
            closures[opened, closed] = order, ring.marks
        free[opened] -= after - before
        free[closed] -= after - before
    return closures


def _write(graph: _Graph, closures: dict) -> str:
    """SMILES. Atoms are in the order of a walk over the tree, so that one pass suffices: every leaf
    but the last atom ends a branch."""
    count = len(graph.atoms)
    last_child = [-1] * count
    for i, parent in enumerate(graph.parents[1:], start=1):
        last_child[parent] = i
    behind = _ring_numbers(count, closures) if closures else [""] * count
    pieces = []
    for i, atom in enumerate(graph.atoms):
        parent = graph.parents[i]
        if parent >= 0:
            if last_child[parent] != i:
                pieces.append("(")
            order = graph.orders[i]
            pieces.append(atom.mark if order == 1 else symbols.BONDS[order])
        pieces.append(atom.smiles)
        pieces.append(behind[i])
        if last_child[i] < 0 and i < count - 1:
            pieces.append(")")
    return "".join(pieces)


def _ring_numbers(count: int, closures: dict) -> list[str]:
    """Of each atom what stands behind it for its rings, numbered as they appear."""
    rings = [[] for _ in range(count)]
    for (opened, closed), (order, marks) in closures.items():
        for atom, mark in zip((opened, closed), marks, strict=True):
            rings[atom].append(((opened, closed), mark if order == 1 else symbols.BONDS[order]))
    numbers: dict[tuple[int, int], str] = {}
    behind = []
    for of_atom in rings:
        text = ""
        for ends, bond in of_atom:
            text += bond + numbers.setdefault(ends, _ring_number(len(numbers) + 1))
        behind.append(text)
    return behind


def _ring_number(number: int) -> str:
    # The selfies package writes %100 from the hundredth ring on, which SMILES reads as %10 and 0.
    return str(number) if number < 10 else f"%{number}" if number < 100 else f"%({number})"
