"""BinaryCIF for tests, from the text of an mmCIF file, encoded as the archive encodes it."""

from collections.abc import Sequence
from itertools import groupby

import msgpack
import numpy as np
from gemmi import cif

INTEGERS = ("label_seq_id", "auth_seq_id", "pdbx_PDB_model_num")
NUMBERS = {"Cartn_x": 1000, "Cartn_y": 1000, "Cartn_z": 1000, "occupancy": 100}
NUMBERS["B_iso_or_equiv"] = 100

Encoded = tuple[list | bytes, list[dict]]


def byte_array(values: Sequence, kind: int = 3, dtype: str = "<i4") -> Encoded:
    return np.array(values, dtype).tobytes(), [{"kind": "ByteArray", "type": kind}]


def packed(values: Sequence[int], unsigned: bool = False, size: int = 1) -> Encoded:
    most = 2 ** (8 * size - (not unsigned)) - 1
    least = None if unsigned else -most - 1
    parts = []
    for value in values:
        while value >= most:
            parts.append(most)
            value -= most
        while least is not None and value <= least:
            parts.append(least)
            value -= least
        parts.append(value)
    kind = (3 if unsigned else 0) + size  # 1, 2: Int8, Int16; 4, 5: Uint8, Uint16
    data, encoding = byte_array(parts, kind, f"<{'u' if unsigned else 'i'}{size}")
    own = {"kind": "IntegerPacking", "byteCount": size, "isUnsigned": unsigned}
    return data, [{**own, "srcSize": len(values)}, *encoding]


def run_length(values: Sequence[int]) -> Encoded:
    runs = [n for value, run in groupby(values) for n in (value, len(list(run)))]
    data, encoding = packed(runs)
    return data, [{"kind": "RunLength", "srcType": 3, "srcSize": len(values)}, *encoding]


def delta(values: Sequence[int], size: int = 1, origin: int = 0) -> Encoded:
    steps = np.diff(values, prepend=origin).tolist()
    data, encoding = packed(steps, size=size)
    return data, [{"kind": "Delta", "origin": origin, "srcType": 3}, *encoding]


def fixed_point(values: Sequence[float], factor: int) -> Encoded:
    data, encoding = delta([round(value * factor) for value in values], size=2, origin=7)
    return data, [{"kind": "FixedPoint", "factor": factor, "srcType": 33}, *encoding]


def strings(values: Sequence[str]) -> Encoded:
    unique = sorted(set(values))
    data, encoding = run_length([unique.index(value) for value in values])
    offsets, offset_encoding = delta(np.cumsum([0, *map(len, unique)]).tolist())
    return data, [
        {
            "kind": "StringArray",
            "dataEncoding": encoding,
            "stringData": "".join(unique),
            "offsets": offsets,
            "offsetEncoding": offset_encoding,
        }
    ]


def column(name: str, values: Sequence[str]) -> dict:
    """The column of the values of mmCIF."""
    absent = [{".": 1, "?": 2}.get(value, 0) for value in values]
    plain = [
        "" if missing else cif.as_string(value)
        for value, missing in zip(values, absent, strict=True)
    ]
    if name in INTEGERS:
        encoded = delta([int(value or 0) for value in plain])
    elif name in NUMBERS:
        encoded = fixed_point([float(value or 0) for value in plain], NUMBERS[name])
    else:
        encoded = strings(plain)
    return {
        "name": name,
        "data": data(encoded),
        "mask": data(run_length(absent)) if any(absent) else None,
    }


def data(encoded: Encoded) -> dict:
    return {"data": encoded[0], "encoding": encoded[1]}


def tables(text: str) -> dict:
    """The file as it is before MessagePack."""
    blocks = []
    for block in cif.read_string(text):
        categories = []
        for prefix in block.get_mmcif_category_names():
            table = block.find_mmcif_category(prefix)
            columns = [
                column(tag.removeprefix(prefix), list(table.column(place)))
                for place, tag in enumerate(table.tags)
            ]
            name = prefix.removesuffix(".")
            categories.append({"name": name, "rowCount": len(table), "columns": columns})
        blocks.append({"header": block.name, "categories": categories})
    return {"encoder": "a test", "version": "0.3.0", "dataBlocks": blocks}


def bcif(text: str) -> bytes:
    return msgpack.packb(tables(text))
