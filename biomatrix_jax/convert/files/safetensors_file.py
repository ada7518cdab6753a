"""One safetensors file: its header checked strictly, its tensors read one at a time, written as a
stream.

The format (github.com/huggingface/safetensors): eight bytes with the header's length N, little
endian; N bytes of JSON, `{name: {"dtype", "shape", "data_offsets": [begin, end]}}` with optional
strings under `__metadata__`; then the data, without holes. Read here rather than by the library so
that every error names file and tensor, and so that no reader needs more than one tensor in memory.
"""

import json
import math
import os
import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np

from biomatrix_jax.blocks import write as write_array
from biomatrix_jax.convert.files.stored import Spec, Stored
from biomatrix_jax.errors import BadInput, some
from biomatrix_jax.files import parse_json

DTYPES = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
LONGEST_HEADER = 100_000_000  # bytes; the library's own limit
LARGEST = 2**60  # elements of a tensor; larger ones cannot be addressed


def read_header(path: str | os.PathLike) -> dict[str, Stored]:
    """The tensors of a file by name; no data is read.

    Raises:
      BadInput: the file is truncated or has bytes too many, the header is not what the format
        asks for, or a tensor has a type that no weights of a decoder have.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise BadInput(f"{path}: truncated: {size} bytes, the header alone is longer")
            if length > LONGEST_HEADER:
                raise BadInput(f"{path}: not a safetensors file (a header of {length} bytes)")
            text = file.read(length)
    except OSError as error:
        raise BadInput(f"{path}: not readable ({error.strerror})") from None
    stored = _parse(path, text, 8 + length)
    _check_layout(path, stored, 8 + length, size)
    return stored


def write(path: Path, specs: Sequence[Spec], parts: Iterable[Iterable[np.ndarray]]) -> None:
    """Writes a file piece by piece.

    Args:
      specs: what will be written, widest dtypes first: readers that view the data in place need
        every tensor aligned to its own elements.
      parts: for each of them, in the same order, arrays that follow each other in the tensor's C
        order, possibly made only when asked for.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # transformers refuses without
    begin = 0
    for spec in specs:
        end = begin + spec.nbytes
        header[spec.name] = {
            "dtype": CODES[spec.dtype],
            "shape": list(spec.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data is aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for spec, pieces in zip(specs, parts, strict=True):
            _write_tensor(file, spec, pieces)
        file.flush()
        os.fsync(file.fileno())


def _write_tensor(file: IO[bytes], spec: Spec, pieces: Iterable[np.ndarray]) -> None:
    written = 0
    for piece in pieces:
        if piece.dtype != spec.dtype:
            raise ValueError(f"{spec}: got a piece of {piece.dtype}")
        write_array(file, piece)
        written += piece.nbytes
    if written != spec.nbytes:
        raise ValueError(f"{spec}: got {written} bytes of {spec.nbytes}")


def _parse(path: Path, text: bytes, start: int) -> dict[str, Stored]:
    where = f"{path}: damaged header"
    header = parse_json(text, where)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise BadInput(f"{where}: __metadata__ should hold strings, not {reprlib.repr(metadata)}")
    try:
        "".join([*header, *metadata, *metadata.values()]).encode()
    except UnicodeEncodeError:  # JSON can spell half a character, the library refuses it
        raise BadInput(f"{where}: a name in it is no text") from None
    for name, entry in header.items():
        _check_entry(where, name, entry)
    codes = {name: entry["dtype"] for name, entry in header.items()}
    if other := [f"{name} is stored as {c!r}" for name, c in codes.items() if c not in DTYPES]:
        raise BadInput(f"{path}: {some(other)}; read are {', '.join(DTYPES)}")
    return {name: _stored(path, name, entry, start) for name, entry in header.items()}


def _check_entry(where: str, name: str, entry: Any) -> None:
    expected = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or entry.keys() != expected:
        raise BadInput(f"{where}: {name} should have {', '.join(sorted(expected))}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str):
        raise BadInput(f"{where}: {name} has dtype {reprlib.repr(dtype)}")
    # Counted without zeros, as numpy does even for empty arrays.
    if not _naturals(shape) or math.prod(max(1, size) for size in shape) > LARGEST:
        raise BadInput(f"{where}: {name} has shape {reprlib.repr(shape)}")
    if not _naturals(offsets) or len(offsets) != 2:
        raise BadInput(f"{where}: {name} has offsets {reprlib.repr(offsets)}")


def _stored(path: Path, name: str, entry: dict, start: int) -> Stored:
    begin, end = entry["data_offsets"]
    stored = Stored(name, DTYPES[entry["dtype"]], tuple(entry["shape"]), path, start + begin)
    if end - begin != stored.nbytes:
        raise BadInput(
            f"{path}: damaged header: {name} is {entry['dtype']} {entry['shape']}, but its offsets "
            f"hold {end - begin} bytes"
        )
    return stored


def _naturals(values: Any) -> bool:
    """Whether it is a list of sizes, no more than an array has axes."""
    if not isinstance(values, list) or len(values) > 32:
        return False
    return all(type(v) is int and 0 <= v < 2**63 for v in values)


def _check_layout(path: Path, stored: dict[str, Stored], start: int, size: int) -> None:
    end = start
    for tensor in sorted(stored.values(), key=lambda t: (t.offset, t.nbytes)):
        if tensor.offset != end:
            kind = "overlaps the tensor before it" if tensor.offset < end else "leaves a hole"
            raise BadInput(f"{path}: damaged header: {tensor.name} {kind}")
        end += tensor.nbytes
        if end > size:
            raise BadInput(f"{path}: truncated: {size} bytes, {tensor.name} ends at byte {end}")
    if end != size:
        raise BadInput(f"{path}: {size - end} bytes after the last tensor: damaged")
