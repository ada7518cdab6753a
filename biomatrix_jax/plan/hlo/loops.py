"""How often the body of a loop runs."""

import json
import re

from biomatrix_jax.plan.hlo.text import Computation, Instruction, Program

_SAME = {"copy", "bitcast", "convert", "reshape", "copy-done", "copy-start", "optimization-barrier"}


def trip_count(program: Program, where: Computation, loop: Instruction) -> int | None:
    """Of the `while` instruction `loop` of `where`; None where the program does not say.

    The CPU's and the GPU's compiler write it down. libtpu does not: there it is read from the
    condition, which compares an element of what is carried with a constant, and from where that
    element starts and what the body adds to it.
    """
    if known := re.search(r'"known_trip_count":(\{[^}]*\})', loop.attributes):
        return int(json.loads(known[1])["n"])
    condition = program.computations[loop.calls("condition")[0]]
    compared = _compared(program, condition)
    if compared is None:
        return None
    index, limit, direction = compared
    start = _constant(where, _element(where, loop.operands[0], index))
    step = _step(program, program.computations[loop.calls("body")[0]], index)
    if start is None or step is None:
        return None
    inclusive = direction in ("LE", "GE")
    distance = limit - start if direction in ("LT", "LE") else start - limit
    step = step if direction in ("LT", "LE") else -step
    return max(-(-(distance + inclusive) // step), 0) if step > 0 else None


def _compared(program: Program, condition: Computation) -> tuple[int, int, str] | None:
    """-> the carried element's index, the constant and how they compare, in this order."""
    root = condition.root
    operands = condition.operands(root)
    inner = _called(program, root)
    if inner is not None:
        root = inner.root
        order = [_source(inner, operand) for operand in inner.operands(root)]
        if not all(i.opcode in ("parameter", "constant") for i in order):
            return None
        operands = [operands[int(i.inside)] if i.opcode == "parameter" else i for i in order]
    if root.opcode != "compare" or len(operands) != 2:
        return None
    direction = root.attribute("direction")
    sides = [_source(condition, i) if i.name in condition.by_name else i for i in operands]
    for (carried, limit), way in zip(
        (sides, sides[::-1]), (direction, _MIRRORED.get(direction)), strict=True
    ):
        if carried.opcode == "get-tuple-element" and limit.opcode == "constant" and way:
            return carried.integers("index")[0], int(limit.inside), way
    return None


_MIRRORED = {"LT": "GT", "GT": "LT", "LE": "GE", "GE": "LE"}


def _step(program: Program, body: Computation, index: int) -> int | None:
    """What the body adds to a carried integer."""
    value = _source(body, body.operands(body.root)[index])
    inner = _called(program, value)
    if inner is not None:
        outer, value = body.operands(value), _source(inner, inner.root)
        if value.opcode != "add":
            return None
        sides = [_source(inner, i) for i in inner.operands(value)]
        sides = [
            _source(body, outer[int(i.inside)]) if i.opcode == "parameter" else i for i in sides
        ]
    elif value.opcode == "add":
        sides = [_source(body, i) for i in body.operands(value)]
    else:
        return None
    constants = [int(i.inside) for i in sides if i.opcode == "constant"]
    carried = [i.integers("index")[0] for i in sides if i.opcode == "get-tuple-element"]
    return constants[0] if len(constants) == 1 and carried == [index] else None


def _called(program: Program, instruction: Instruction) -> Computation | None:
    name = {"fusion": "calls", "call": "to_apply"}.get(instruction.opcode)
    return program.computations[instruction.calls(name)[0]] if name else None


def _element(where: Computation, carried: str, index: int) -> Instruction:
    """An element of the tuple that a loop starts from."""
    source = _source(where, where.by_name[carried])
    return where.operands(source)[index] if source.opcode == "tuple" else source


def _constant(where: Computation, instruction: Instruction) -> int | None:
    source = _source(where, instruction)
    return int(source.inside) if source.opcode == "constant" else None


def _source(where: Computation, instruction: Instruction) -> Instruction:
    """Behind copies and the like."""
    while instruction.opcode in _SAME:
        instruction = where.operands(instruction)[0]
    return instruction
