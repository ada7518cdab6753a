"""Files that hold one JSON array of objects, however large, object by object."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary
from data_pipeline.formats.lines import Entry, json_object

CHUNK = 1 << 20  # bytes read at a time
LARGEST = 1 << 26  # bytes of an object: where one does not end, the rest is not read into memory
_BLANK = re.compile(rb"\s*")
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.?)*+("?)|[{}]', re.DOTALL)  # a string, perhaps cut; a brace


def array_objects(path: str | Path) -> Iterator[Entry]:
    """The objects of the array, each with where it stands (the first is 0).

    Raises:
      BadInput: the file is missing, damaged, cut short, or is no array of objects.
    """
    name = Path(path).name
    with open_binary(path) as file:
        text = _Text(file, path)
        text.expect(b"[")
        number = 0
        while text.peek() != b"]":
            yield f"{name}:{number}", _parsed(text.object())
            number += 1
            if text.peek() != b"]":
                text.expect(b",")
        text.expect(b"]")
        if text.peek():
            raise text.wrong()


class _Text:
    """What is read of a file and not used yet."""

    def __init__(self, file: BinaryIO, path: str | Path):
        self._file, self._path = file, path
        self._read, self._start = b"", 0

    def peek(self) -> bytes:
        """The next byte that is not blank, b"" at the end."""
        while True:
            self._start = _BLANK.match(self._read, self._start).end()
            if self._start < len(self._read) or not self._more():
                return self._read[self._start : self._start + 1]

    def expect(self, byte: bytes) -> None:
        if self.peek() != byte:
            raise self.wrong()
        self._start += 1

    def object(self) -> bytes:
        """The next object's bytes, from its brace to the one that closes it."""
        if self.peek() != b"{":
            raise self.wrong()
        while not (end := self._end()):
            if len(self._read) - self._start > LARGEST:
                raise BadInput(f"{self._path}: an object of more than {LARGEST >> 20} MiB: damaged")
            if not self._more():
                self._start = len(self._read)
                raise self.wrong()
        start, self._start = self._start, end
        return self._read[start:end]

    def wrong(self) -> BadInput:
        here = self._read[self._start : self._start + 1]
        found = (
            f"{here.decode('latin-1')!r} where it should go on" if here else "its end is missing"
        )
        return BadInput(f"{self._path}: not a JSON array of objects ({found}): fetch it again")

    def _end(self) -> int | None:
        depth = 0
        for token in _TOKEN.finditer(self._read, self._start):
            if token[0] == b"{":
                depth += 1
            elif token[0] == b"}":
                depth -= 1
                if not depth:
                    return token.end()
            elif not token[1]:  # the string goes on in what is not read yet
                break
        return None

    def _more(self) -> bool:
        """Reads on, the more the longer the object is, so that few parts are looked at again."""
        rest = self._read[self._start :]
        chunk = self._file.read(max(CHUNK, len(rest)))
        self._read, self._start = rest + chunk, 0
        return bool(chunk)


def _parsed(text: bytes) -> dict | BadInput:
    try:
        return json_object(text)
    except BadInput as error:
        return error
