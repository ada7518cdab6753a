"""The lines of `biomatrix protein encode`: a JSON object for each chain.

  {"name": ..., "chain": ..., "sequence": ..., "codes": [...], "numbers": [...], "b_factors": [...]}

`codes` has -1 where a residue was not observed. `numbers` and `b_factors` are what the structure
file says of each residue, so that decoding can write it again: 52, or "52A" with an insertion code,
null for a residue put into a gap; B-factors of the CA to two decimals, null where there is none. A
chain that failed has `name` and `error` alone. To be decoded a line needs only `name` and `codes`.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import parse_json
from biomatrix_jax.structure.protein.chains import Chain, Number
from biomatrix_jax.structure.protein.errors import ProteinError

_NUMBER = re.compile(r"(-?[0-9]{1,9})([^\W\d_]*)")


@dataclass(frozen=True, eq=False)
class CodedChain:
    """A chain of L residues as codes; the other attributes are those of `chains.Chain`."""

    name: str  # of the file it came from
    id: str
    sequence: str
    codes: np.ndarray  # int32 [L]
    numbers: tuple[Number | None, ...]
    b_factors: np.ndarray  # float32 [L]

    def chain(self, backbone: np.ndarray) -> Chain:
        return Chain(self.id, self.sequence, backbone, self.numbers, self.b_factors)


def line(name: str, chain: Chain, codes: np.ndarray) -> str:
    """The line of an encoded chain."""
    return json.dumps(
        {
            "name": name,
            "chain": chain.id,
            "sequence": chain.sequence,
            "codes": codes.tolist(),
            "numbers": [_number_as_json(number) for number in chain.numbers],
            "b_factors": [round(float(b), 2) if np.isfinite(b) else None for b in chain.b_factors],
        }
    )


def failure(name: str, error: BadInput) -> str:
    """The line of a chain, or a file, that failed."""
    return json.dumps({"name": name, "error": str(error)})


def read_line(content: bytes, where: str) -> CodedChain:
    """The chain of a line.

    Raises:
      ProteinError: it is a failure, or its lists have other lengths or content.
      BadInput: it is no JSON object, or has no name.
    """
    record = parse_json(content, where)
    name = _value(record, "name", where, lambda value: isinstance(value, str) and value)
    if "error" in record:
        raise ProteinError(name, "", f"was not encoded: {record['error']}")
    try:
        return _coded_chain(name, record, where)
    except BadInput as error:
        raise ProteinError(name, "", str(error)) from None


def _coded_chain(name: str, record: dict[str, Any], where: str) -> CodedChain:
    codes = _value(record, "codes", where, lambda value: _is_list(value, _is_code) and value)
    length = len(codes)

    def optional(key: str, fits: Callable[[Any], bool], default: Any) -> Any:
        found = _value({key: default, **record}, key, where, fits)
        if len(found) != length:
            raise BadInput(f"{where}: {key} has {len(found)} residues and codes {length}")
        return found

    sequence = optional("sequence", lambda value: isinstance(value, str), "X" * length)
    numbers = optional("numbers", lambda value: _is_list(value, _is_number), [None] * length)
    b_factors = optional("b_factors", lambda value: _is_list(value, _is_b), [None] * length)
    return CodedChain(
        name=name,
        id=_value({"chain": "", **record}, "chain", where, lambda value: isinstance(value, str)),
        sequence=sequence,
        codes=np.array(codes, np.int32),
        numbers=tuple(_number_of_json(number) for number in numbers),
        b_factors=np.array([np.nan if b is None else b for b in b_factors], np.float32),
    )


def _value(record: dict, key: str, where: str, fits: Callable[[Any], Any]) -> Any:
    if key not in record:
        raise BadInput(f"{where}: no {key!r}")
    if not fits(record[key]):
        raise BadInput(f"{where}: {key!r} is not what `biomatrix protein encode` writes there")
    return record[key]


def _is_list(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(fits, value))


def _is_code(value: Any) -> bool:
    return type(value) is int and -1 <= value < 2**31


def _is_number(value: Any) -> bool:
    return (
        value is None
        or (type(value) is int and abs(value) < 10**9)
        or (isinstance(value, str) and bool(_NUMBER.fullmatch(value)))
    )


def _is_b(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) < 1e38)


def _number_as_json(number: Number | None) -> int | str | None:
    return f"{number[0]}{number[1]}" if number and number[1] else number and number[0]


def _number_of_json(value: int | str | None) -> Number | None:
    if isinstance(value, str):
        digits, insertion = _NUMBER.fullmatch(value).groups()
        return int(digits), insertion
    return None if value is None else (value, "")
