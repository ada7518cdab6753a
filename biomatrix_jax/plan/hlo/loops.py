"""How often the body of a loop runs.

The CPU's and the GPU's compiler write it down. libtpu does not: there it is read from the
condition, which compares an element of what is carried with a limit, and from where that element
starts and what the body adds to it. A limit that depends on data may still have a bound
(`minimum(x, 16)`), even where it was computed outside of several loops.
"""

import json
import re
from typing import NamedTuple

from biomatrix_jax.plan.hlo.text import Computation, Instruction, Program

_SAME = {"copy", "bitcast", "convert", "reshape", "copy-done", "copy-start", "optimization-barrier"}
_MIRRORED = {"LT": "GT", "GT": "LT", "LE": "GE", "GE": "LE"}


class Trips(NamedTuple):
    count: int
    exact: bool  # not only the most that it can be


class Value(NamedTuple):
    """An instruction, and the computation that it is in."""

    where: Computation
    instruction: Instruction

    def operand(self, number: int) -> "Value":
        name = self.instruction.operands[number]
        return Value(self.where, self.where.by_name[name])


class Loops:
    """Reads the loops of one program."""

    def __init__(self, program: Program):
        self._program = program
        self._callers: dict[str, Value] = {}
        for where in program.computations.values():
            for instruction in where.instructions:
                for key in _CALLS.get(instruction.opcode, ()):
                    for name in instruction.calls(key):
                        self._callers[name] = Value(where, instruction)

    def trips(self, where: Computation, loop: Instruction) -> Trips | None:
        """Of the `while` instruction `loop` of `where`; None where the program does not say."""
        if known := re.search(r'"known_trip_count":(\{[^}]*\})', loop.attributes):
            return Trips(int(json.loads(known[1])["n"]), True)
        compared = self._compared(self._computation(loop, "condition"))
        if compared is None:
            return None
        index, limit, direction = compared
        start = self._most(self._carried(Value(where, loop), index))
        step = self._step(self._computation(loop, "body"), index)
        most = self._most(limit)
        if start is None or step is None or most is None:
            return None
        up = direction in ("LT", "LE")
        distance, step = (most - start, step) if up else (start - most, -step)
        if step <= 0:
            return None
        count = -(-(distance + (direction in ("LE", "GE"))) // step)
        return Trips(max(count, 0), self._source(limit).instruction.opcode == "constant")

    def _computation(self, instruction: Instruction, key: str) -> Computation:
        return self._program.computations[instruction.calls(key)[0]]

    def _compared(self, condition: Computation) -> tuple[int, Value, str] | None:
        """-> the index of what changes, the limit, and how the first compares with the second."""
        root = self._source(Value(condition, condition.root))
        if root.instruction.opcode != "compare":
            return None
        way = root.instruction.attribute("direction")
        first, second = (self._source(root.operand(number)) for number in (0, 1))
        for changing, limit, direction in (
            (first, second, way),
            (second, first, _MIRRORED.get(way)),
        ):
            here = changing.where is condition and _is_element(changing.instruction)
            if here and direction in _MIRRORED:
                return changing.instruction.integers("index")[0], limit, direction
        return None

    def _step(self, body: Computation, index: int) -> int | None:
        """What the body adds to an integer that it carries."""
        value = self._source(Value(body, body.operands(body.root)[index]))
        if value.instruction.opcode != "add":
            return None
        sides = [self._source(value.operand(number)).instruction for number in (0, 1)]
        constants = [int(side.inside) for side in sides if side.opcode == "constant"]
        changing = [side.integers("index") for side in sides if _is_element(side)]
        return constants[0] if len(constants) == 1 and changing == [(index,)] else None

    def _most(self, value: Value) -> int | None:
        """The value of a constant; of a minimum or clamped value its bound."""
        value = self._source(value)
        match value.instruction.opcode:
            case "constant":
                return int(value.instruction.inside)
            case "minimum":
                bounds = [self._most(value.operand(number)) for number in (0, 1)]
                return min((bound for bound in bounds if bound is not None), default=None)
            case "clamp":
                return self._most(value.operand(2))
        return None

    def _source(self, value: Value) -> Value:
        """Where a value comes from: behind copies, tuples, fusions, and loops that keep it."""
        while (before := self._before(value)) is not None:
            value = before
        return value

    def _before(self, value: Value) -> Value | None:
        where, instruction = value
        if instruction.opcode in _SAME:
            return value.operand(0)
        if instruction.opcode == "fusion":
            inner = self._computation(instruction, "calls")
            return None if inner.root.opcode == "tuple" else Value(inner, inner.root)
        caller = self._callers.get(where.name)
        if instruction.opcode == "parameter" and caller and caller.instruction.opcode == "fusion":
            return caller.operand(int(instruction.inside))
        if not _is_element(instruction):
            return None
        index, of = instruction.integers("index")[0], self._source(value.operand(0))
        if of.instruction.opcode == "tuple":
            return of.operand(index)
        if of.instruction.opcode == "parameter":
            of = self._callers.get(of.where.name)
        if of and of.instruction.opcode == "while" and self._keeps(of.instruction, index):
            return self._carried(of, index)
        return None

    def _carried(self, loop: Value, index: int) -> Value:
        """An element of what a loop starts with."""
        start = self._source(loop.operand(0))
        return start.operand(index) if start.instruction.opcode == "tuple" else start

    def _keeps(self, loop: Instruction, index: int) -> bool:
        body = self._computation(loop, "body")
        if body.root.opcode != "tuple":
            return False
        value = body.operands(body.root)[index]
        while value.opcode in _SAME:
            value = body.operands(value)[0]
        return (
            _is_element(value)
            and value.integers("index") == (index,)
            and body.operands(value)[0].opcode == "parameter"
        )


_CALLS = {"while": ("body", "condition"), "fusion": ("calls",)}


def _is_element(instruction: Instruction) -> bool:
    return instruction.opcode == "get-tuple-element"
