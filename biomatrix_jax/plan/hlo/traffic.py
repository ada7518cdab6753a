"""Bytes that an instruction moves to and from the device's main memory: an estimate.

Every operand is read once and every result written once. Inside a fusion nothing is; of an operand
that it only slices, the slices are read, and of a result that it only updates, the update is
written. Caches and on-chip memory that the program does not speak of are not known here; arrays
that the compiler has placed in it (a TPU's vector memory) cost nothing but their copies.
"""

from biomatrix_jax.plan.hlo.text import Computation, Instruction, Leaf, Program

# Pass on what is there, or stand for the end of what has started before.
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id",
    "replica-id", "while", "conditional", "call", "optimization-barrier", "domain",
    "async-start", "async-update", "async-done", "add-dependency",
}  # fmt: skip
_SAME = {"bitcast", "reshape", "convert", "copy", "transpose"}
_SLICES = {"dynamic-slice", "slice", "gather"}


def main_memory_bytes(program: Program, where: Computation, instruction: Instruction) -> float:
    """Bytes read and written by one instruction that is not inside a fusion."""
    opcode = instruction.opcode
    if opcode in _FREE or opcode.endswith("-done"):
        return 0.0
    if opcode == "custom-call" and "AllocateBuffer" in instruction.attributes:
        return 0.0
    operands = where.operands(instruction)
    if opcode == "fusion":
        inner = program.computations[instruction.calls("calls")[0]]
        read = sum(
            _read(inner, inner.parameters[number], operand)
            for number, operand in enumerate(operands)
        )
        return read + _written(inner, instruction)
    if opcode in _SLICES:
        return 2.0 * _in_memory(instruction.shape)
    if opcode == "dynamic-update-slice":
        return 2.0 * _in_memory(operands[1].shape)
    if opcode.endswith("-start"):  # its result is the operands again, then what it makes
        made = instruction.shape[len(operands) :] or instruction.shape
        return float(sum(_in_memory(o.shape) for o in operands) + _in_memory(made[:1]))
    return float(sum(_in_memory(o.shape) for o in operands) + _in_memory(instruction.shape))


def _in_memory(shape: tuple[Leaf, ...]) -> int:
    return sum(leaf.bytes for leaf in shape if leaf.space == 0)


def _read(inner: Computation, parameter: Instruction, operand: Instruction) -> float:
    whole = _in_memory(operand.shape)
    if whole == 0:
        return 0.0
    read = 0.0
    for user in _users(inner, parameter):
        updated = user.opcode == "dynamic-update-slice"
        if user.opcode == "tuple" or (updated and _behind(inner, user.operands[0]) is parameter):
            continue  # handed on, or written into
        sliced = user.opcode in _SLICES and _behind(inner, user.operands[0]) is parameter
        if not sliced:
            return float(whole)
        read += user.bytes
    return min(read, float(whole))


def _written(inner: Computation, fusion: Instruction) -> float:
    root = inner.root
    made = inner.operands(root) if root.opcode == "tuple" else [root]
    if len(made) != len(fusion.shape):
        return float(_in_memory(fusion.shape))
    written = 0.0
    for value, leaf in zip(made, fusion.shape, strict=True):
        if leaf.space == 0:
            value = _behind(inner, value.name)
            if value.opcode == "dynamic-update-slice":
                written += inner.operands(value)[1].bytes
            elif value.opcode != "parameter":
                written += leaf.bytes
    return written


def _users(inner: Computation, instruction: Instruction) -> list[Instruction]:
    """Users, those of reshapes and the like instead of these."""
    users = []
    for user in inner.users[instruction.name]:
        users += _users(inner, user) if user.opcode in _SAME else [user]
    return users


def _behind(inner: Computation, name: str) -> Instruction:
    instruction = inner.by_name[name]
    while instruction.opcode in _SAME:
        instruction = inner.operands(instruction)[0]
    return instruction
