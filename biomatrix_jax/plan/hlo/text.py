"""A compiled program as text -> its computations and their instructions.

The format is XLA's own (`HloModule::ToString`), as `compiled.as_text()` gives it on every platform.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

_BITS = {"pred": 8, "token": 0, "opaque": 0}
_LEAF = re.compile(r"([a-z][a-z0-9]*)\[([\d,<=? ]*)\](\{[^{}]*\})?")
_HEADER = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"  (ROOT )?%?([\w.\-]+) = (.*)", re.DOTALL)
_END = re.compile(r"}(?:$|, execution_thread)")
_STARTS = re.compile(rf"{_INSTRUCTION.pattern}|{_END.pattern}")
_NAME = re.compile(r"%([\w.\-]+)")


@dataclass(frozen=True)
class Leaf:
    """One array of a shape: a tuple's shape is several, and nesting is forgotten."""

    dtype: str
    dims: tuple[int, ...]
    space: int = 0  # memory that it lies in; 0 is the device's main memory

    @property
    def elements(self) -> int:
        return math.prod(self.dims)

    @property
    def bytes(self) -> int:
        """Unpadded; types of less than a byte are packed."""
        bits = _BITS.get(self.dtype)
        if bits is None:
            digits = re.search(r"\d+", self.dtype)
            bits = int(digits[0]) if digits else 8
        return -(-self.elements * bits // 8)


@dataclass(frozen=True)
class Instruction:
    """`attributes` is the rest of the line: what else the operation was told, as text."""

    name: str
    opcode: str
    shape: tuple[Leaf, ...]
    operands: tuple[str, ...]
    inside: str  # the operands as they are written: a constant's value, a parameter's number
    attributes: str
    root: bool = False

    def attribute(self, name: str) -> str | None:
        """What follows `name=`, up to a space or a comma outside of brackets."""
        start = re.search(rf"(?:^|[ ,]){name}=", self.attributes)
        if not start:
            return None
        depth = 0
        for end, character in enumerate(self.attributes[start.end() :], start.end()):
            depth += (character in "{[(") - (character in "}])")
            if depth < 0 or (depth == 0 and character in ", "):
                return self.attributes[start.end() : end].rstrip()
        return self.attributes[start.end() :]

    def integers(self, name: str) -> tuple[int, ...]:
        """An attribute like `{1,2}`; empty where it is not given."""
        return tuple(int(digits) for digits in re.findall(r"-?\d+", self.attribute(name) or ""))

    def calls(self, name: str) -> list[str]:
        """Names of the computations that an attribute gives."""
        return _NAME.findall(self.attribute(name) or "")

    @property
    def bytes(self) -> int:
        return sum(leaf.bytes for leaf in self.shape)


@dataclass
class Computation:
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    @cached_property
    def by_name(self) -> dict[str, Instruction]:
        return {instruction.name: instruction for instruction in self.instructions}

    @cached_property
    def users(self) -> dict[str, list[Instruction]]:
        users: dict[str, list[Instruction]] = {name: [] for name in self.by_name}
        for instruction in self.instructions:
            for operand in dict.fromkeys(instruction.operands):
                users[operand].append(instruction)
        return users

    @property
    def root(self) -> Instruction:
        return next(instruction for instruction in self.instructions if instruction.root)

    @cached_property
    def parameters(self) -> dict[int, Instruction]:
        return {int(i.inside): i for i in self.instructions if i.opcode == "parameter"}

    def operands(self, instruction: Instruction) -> list[Instruction]:
        return [self.by_name[name] for name in instruction.operands]


@dataclass
class Program:
    computations: dict[str, Computation]
    entry: Computation


def parse(text: str) -> Program:
    """Reads a whole program. Raises ValueError where it is none as known here."""
    computations: dict[str, Computation] = {}
    entry = current = None
    for line in _whole_lines(text):
        if current is None:
            if header := _HEADER.match(line):
                current = Computation(header[2])
                entry = current if header[1] else entry
        elif _END.match(line):
            computations[current.name] = current
            current = None
        else:
            match = _INSTRUCTION.match(line)
            current.instructions.append(_instruction(match[2], match[3], bool(match[1])))
    if entry is None:
        raise ValueError("a compiled program without an entry computation")
    return Program(computations, entry)


def _whole_lines(text: str) -> Iterator[str]:
    """Lines of a program; what a kernel says of itself may go on over several."""
    whole: list[str] = []
    for line in text.splitlines():
        if whole and _INSTRUCTION.match(whole[0]) and not _STARTS.match(line):
            whole.append(line)
            continue
        yield " ".join(whole)
        whole = [line]
    yield " ".join(whole)


def parse_shape(text: str) -> tuple[Leaf, ...]:
    return tuple(
        Leaf(dtype, tuple(int(d) for d in re.findall(r"\d+", dims)), _space(layout))
        for dtype, dims, layout in _LEAF.findall(text)
    )


def _space(layout: str) -> int:
    space = re.search(r"S\((\d+)\)", layout)
    return int(space[1]) if space else 0


def _instruction(name: str, text: str, root: bool) -> Instruction:
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    shape, rest = text[:end], text[end:].lstrip()
    opens = rest.index("(")
    closes = _closing(rest, opens)
    inside = rest[opens + 1 : closes]
    opcode = rest[:opens]
    operands = () if opcode in ("constant", "parameter") else tuple(_NAME.findall(inside))
    attributes = rest[closes + 1 :].lstrip(", ")
    return Instruction(name, opcode, parse_shape(shape), operands, inside, attributes, root)


def _closing(text: str, opens: int) -> int:
    """Where the bracket that opens at `opens` closes; quoted brackets do not count."""
    depth, quoted = 0, False
    for index in range(opens, len(text)):
        character = text[index]
        if character == '"' and text[index - 1] != "\\":
            quoted = not quoted
        elif not quoted:
            depth += (character == "(") - (character == ")")
            if depth == 0:
                return index
    raise ValueError(f"a bracket that does not close: {text[:200]}")
