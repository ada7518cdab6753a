"""What a record draws: from its id, the seed and the name of what is drawn alone."""

import hashlib
from collections.abc import Iterable

_WHOLE = float(2**64)


class Draw:
    """The draws of one record.

    Each has a name and depends on no other, so that a field that a record lacks (no tokenizer, no
    name) changes nothing about the rest.
    """

    def __init__(self, record_id: str, seed: int):
        self._key = f"{seed}\0{record_id}\0".encode()

    def uniform(self, name: str) -> float:
        """A number from 0 to 1, 1 not included."""
        return self._number(f"{name}\0uniform") / _WHOLE

    def happens(self, name: str, probability: float) -> bool:
        return self.uniform(name) < probability

    def order(self, names: Iterable[str]) -> list[str]:
        """The names in a random order; those of a part of them stand as in the whole."""
        return sorted(names, key=lambda name: (self._number(f"{name}\0rank"), name))

    def seed(self, name: str) -> int:
        """31 bits, for a library's own generator."""
        return self._number(f"{name}\0seed") >> 33

    def _number(self, name: str) -> int:
        digest = hashlib.blake2b(self._key + name.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")
