"""BinaryCIF: mmCIF with its columns as encoded arrays, in MessagePack.

The format is https://github.com/molstar/BinaryCIF/blob/master/encoding.md, version 0.3. What is
read is read by the rules of mmCIF. Biopython's parser is not used: it names chains by the archive's
ids, where all else here has the authors', does not know absent values, and scales
IntervalQuantization wrongly (release 1.88).
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from biomatrix_jax.structure.protein.assembly import Assembly, Unreadable
from biomatrix_jax.structure.protein.mmcif_reader import ITEMS, read_document

if TYPE_CHECKING:
    from gemmi import cif

MAX_VALUES = 2**24  # of a column; the largest entries have some millions of atoms
_DTYPES = {1: "<i1", 2: "<i2", 3: "<i4", 4: "<u1", 5: "<u2", 6: "<u4", 32: "<f4", 33: "<f8"}
_ABSENT = {1: False, 2: None}  # by the mask: what gemmi writes as "." and "?"


def read_bcif(content: bytes, assembly: Assembly) -> tuple[str, str]:
    """Reads the first model into `assembly`; returns the entry's id and title, empty if not given.

    Raises:
      Unreadable: the content is no BinaryCIF, is cut short or damaged, or has no atoms.
    """
    import msgpack

    try:
        document = _document(msgpack.unpackb(content))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise Unreadable(f"no BinaryCIF, or damaged ({reason}): fetch it again") from None
    return read_document(document, assembly)


def _document(file: Mapping[str, Any]) -> "cif.Document":
    """The items that are read, as an mmCIF file would have them."""
    from gemmi import cif

    document = cif.Document()
    for number, data in enumerate(file["dataBlocks"]):
        block = document.add_new_block(f"block{number}")
        for category in data["categories"]:
            prefix, rows = category["name"].rstrip(".") + ".", category["rowCount"]
            columns = {
                column["name"]: _values(column, rows)
                for column in category["columns"]
                if (prefix + column["name"]).lower() in ITEMS
            }
            if columns and rows:
                block.set_mmcif_category(prefix, columns)
    return document


def _values(column: Mapping[str, Any], rows: int) -> list:
    """The values of a column; False and None where it has none ("." and "?" of CIF)."""
    values = _decoded(column["data"])
    if len(values) != rows:
        raise ValueError(f"{column['name']} has {len(values)} values in {rows} rows")
    # An empty text is how some writers leave out a value.
    values = [False if value == "" else value for value in values.tolist()]
    if column.get("mask"):
        mask = _decoded(column["mask"])
        if len(mask) != rows:
            raise ValueError(f"the mask of {column['name']} has {len(mask)} values")
        for row in np.flatnonzero(mask):
            values[row] = _ABSENT[int(mask[row])]
    return values


def _decoded(data: Mapping[str, Any]) -> np.ndarray:
    """An array [values]; its encodings are undone from the last to the first."""
    values = data["data"]
    for encoding in reversed(data["encoding"]):
        values = _DECODERS[encoding["kind"]](values, encoding)
        if len(values) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES:,} values")
    return values


def _byte_array(data: bytes, encoding: Mapping[str, Any]) -> np.ndarray:
    values = np.frombuffer(data, _DTYPES[encoding["type"]])
    # Wide enough that sums of what follows do not overflow.
    return values.astype(np.int64 if values.dtype.kind in "iu" else np.float64)


def _fixed_point(values: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    return values / encoding["factor"]


def _interval_quantization(values: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    step = (encoding["max"] - encoding["min"]) / (encoding["numSteps"] - 1)
    return encoding["min"] + step * values


def _run_length(values: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    runs = values[1::2]
    if runs.min(initial=0) < 0 or runs.sum() != encoding["srcSize"] or runs.sum() > MAX_VALUES:
        raise ValueError("runs of another length than stated")
    return np.repeat(values[::2], runs)


def _delta(values: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    return np.cumsum(values) + encoding["origin"]


def _integer_packing(values: np.ndarray, encoding: Mapping[str, Any]) -> np.ndarray:
    """Each number is the sum of the limits of its type before it and of what follows them."""
    bits = 8 * encoding["byteCount"] - (not encoding["isUnsigned"])
    limit = values == 2**bits - 1
    if not encoding["isUnsigned"]:
        limit |= values == -(2**bits)
    ends = np.flatnonzero(~limit)
    if len(ends) != encoding["srcSize"] or (len(limit) and limit[-1]):
        raise ValueError("integers of another number than stated")
    return np.diff(np.cumsum(values)[ends], prepend=0)


def _string_array(data: bytes, encoding: Mapping[str, Any]) -> np.ndarray:
    offsets = _decoded({"data": encoding["offsets"], "encoding": encoding["offsetEncoding"]})
    rows = _decoded({"data": data, "encoding": encoding["dataEncoding"]})
    text = encoding["stringData"]
    if offsets.min(initial=0) < 0 or offsets.max(initial=0) > len(text):
        raise ValueError("offsets outside the text")
    strings = [text[a:b] for a, b in pairwise(offsets)]
    # The row -1 stands for no value.
    return np.array([*strings, ""], object)[np.where(rows == -1, len(strings), rows)]


_DECODERS: Mapping[str, Callable[[Any, Mapping[str, Any]], np.ndarray]] = {
    "ByteArray": _byte_array,
    "FixedPoint": _fixed_point,
    "IntervalQuantization": _interval_quantization,
    "RunLength": _run_length,
    "Delta": _delta,
    "IntegerPacking": _integer_packing,
    "StringArray": _string_array,
}
