"""What a pickle says, without doing it.

A pickle is a program for a stack machine, and one of its instructions calls any function by name.
Here such a call becomes a `Call` that says what was to be called; nothing is looked up, imported or
run, so that the reader of the tree decides what it knows. Instructions: those of protocol 2 that a
pickler writes for containers, numbers, text and objects (`pickletools` documents each).
"""

import dataclasses
import pickletools
from typing import Any

PROTOCOL = 2
MOST_BYTES = 4 << 20  # of a pickle: some twenty thousand tensors


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """Something that a module holds, by its full name."""

    text: str


@dataclasses.dataclass(eq=False, slots=True)
class Call:
    """A call that was not made.

    Attributes:
      function: a `Name`, in honest files.
      parts: the arguments, then what else the pickle does to the result.
    """

    function: Any
    parts: list[Any]


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """Something kept outside the pickle."""

    identity: Any


def read_tree(content: bytes) -> tuple[Any, set[str]]:
    """The object that a pickle describes, and every name that it mentions.

    The object consists of dict (an OrderedDict too), list, tuple, str, int, float, bool and None,
    and of the classes above. It may contain itself, and one part may occur in many places: compare
    and print only what is known to be text or a number.

    Raises:
      ValueError: another protocol, an instruction that such files do not need, damaged.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"{len(content)} bytes of structure; at most {MOST_BYTES} are read")
    machine = _Machine()
    try:
        for opcode, argument, position in pickletools.genops(content):
            if opcode.name != "STOP":  # with which the iteration ends
                machine.step(opcode.name, argument)
            end = position + 1
        (root,) = machine.stack
    except (IndexError, KeyError) as error:
        raise ValueError("an instruction lacks what it works on") from error
    if machine.outer or end < len(content):
        raise ValueError("its end is not where it should be")
    return root, machine.names


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # what lay on the stack at each open mark
        self.memo: dict[int, Any] = {}
        self.names: set[str] = set()

    def step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        match opcode:
            case "BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode == "NEWTRUE")
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._pop(int(opcode[-1]))))
            case "MARK":
                self.outer.append(stack)
                self.stack = []
            case "TUPLE":
                items = self._pop_marked()
                self.stack.append(tuple(items))
            case "GLOBAL":
                name = ".".join(argument.split(" ", 1))
                self.names.add(name)
                stack.append(Name(name))
            case "REDUCE" | "NEWOBJ":
                stack.append(_call(*self._pop(2)))
            case "BINPERSID":
                stack.append(Reference(stack.pop()))
            case "APPEND":
                _extend(*self._pop(1), into=self.stack[-1])
            case "APPENDS":
                _extend(*self._pop_marked(), into=self.stack[-1])
            case "SETITEM":
                _set_items(self._pop(2), self.stack[-1])
            case "SETITEMS":
                _set_items(self._pop_marked(), self.stack[-1])
            case "BUILD":
                _build(stack.pop(), stack[-1])
            case "PROTO":
                if argument != PROTOCOL:
                    raise ValueError(f"pickle protocol {argument}; read is {PROTOCOL}")
            case _:
                raise ValueError(f"its pickle has the instruction {opcode}")

    def _pop(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise IndexError
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _pop_marked(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items


def _call(function: Any, arguments: Any) -> Any:
    if function == Name("collections.OrderedDict") and arguments == ():
        return {}
    return Call(function, [arguments])


def _extend(*items: Any, into: Any) -> None:
    if type(into) is list:
        into.extend(items)
    elif type(into) is Call:
        into.parts.append(items)
    else:
        raise ValueError(f"it appends to {type(into).__name__}")


def _set_items(items: list[Any], into: Any) -> None:
    if type(into) is Call:
        into.parts.append(items)
        return
    if type(into) is not dict or len(items) % 2:
        raise ValueError(f"it sets {len(items)} items of {type(into).__name__}")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Large integers could be chosen to have one hash; such a dictionary takes for ever to fill.
        if type(key) is not str and not (type(key) is int and key.bit_length() < 32):
            raise ValueError("a dictionary has a key that is neither text nor a small number")
        if key in into:
            raise ValueError("a dictionary has one key twice")
        into[key] = value


def _build(state: Any, into: Any) -> None:
    if type(into) is Call:
        into.parts.append(state)
    elif type(into) is not dict:  # there it is the attributes of an OrderedDict: torch's versions
        raise ValueError(f"it sets the state of {type(into).__name__}")
