"""A dictionary matcher: where a text has one of many names.

The longest name at each place is taken, from left to right. A match is bounded: no letter, digit,
hyphen, prime, plus or slash touches it, for with these it is part of another name ("glucose" is
not in "glucose-6-phosphate", "serine" not in "serine/threonine"). Any white space may stand for a
blank. A name of up to four characters must be spelled as it is (ATP), a longer one may be in any
case. A name that stands for several things is not used at all.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

Meaning = TypeVar("Meaning", bound=Hashable)

SHORT = 4  # characters; in any case, a short name would be many a word and acronym
_JOINS = "\\w\\-\u2010\u2011'\u2019\u2032+/"
_START = re.compile(rf"(?<![{_JOINS}])(?:\w+|[^\w\s])")
_JOINED = re.compile(f"[{_JOINS}]")
_BLANKS = {code: " " for code in range(0x3001) if chr(code).isspace()}


class Matcher(Generic[Meaning]):
    """Finds names in texts.

    Attributes:
      unused: how many names are not looked for, by reason.
    """

    def __init__(self, names: Iterable[tuple[str, Meaning]]):
        """Takes some 300 bytes of memory for a name.

        Args:
          names: each with what it stands for; equal meanings make no ambiguity.
        """
        self.unused: Counter[str] = Counter()
        self._meanings: dict[str, Meaning] = {}
        ambiguous = set()
        for name, meaning in names:
            name = " ".join(name.split())
            if len(name) < 2 or not any(map(str.isalpha, name)):
                self.unused["one character, or no letter"] += 1
                continue
            key = name if len(name) <= SHORT else _folded(name)
            if self._meanings.setdefault(key, meaning) != meaning:
                ambiguous.add(key)
        for key in ambiguous:
            del self._meanings[key]
        if ambiguous:
            self.unused["ambiguous"] = len(ambiguous)
        self._sorted = sorted(set(map(_folded, self._meanings)))
        self._shorter: list[int] = []  # the longest other name that this one begins with, or -1
        self._reach: dict[str, int] = {}  # the longest name that begins with this word
        for number, name in enumerate(self._sorted):
            shorter = number - 1
            while shorter >= 0 and not name.startswith(self._sorted[shorter]):
                shorter = self._shorter[shorter]
            self._shorter.append(shorter)
            word = _START.match(name)[0]
            self._reach[word] = max(self._reach.get(word, 0), len(name))

    def find(self, text: str) -> Iterator[tuple[int, int, Meaning]]:
        """(start, end, meaning) of every name in the text, ascending, without overlaps."""
        folded = _folded(text)
        after = 0
        for word in _START.finditer(folded):
            reach = self._reach.get(word[0])
            if reach and (start := word.start()) >= after:
                end = self._end(text, folded, start, start + reach)
                if end:
                    yield start, end, self._meanings[_key(text, folded, start, end)]
                    after = end

    def _end(self, text: str, folded: str, start: int, limit: int) -> int | None:
        """Where the longest name that begins at `start` ends."""
        window = folded[start:limit]
        # A name that the window begins with sorts before it, and all between the two begin with
        # that name as well.
        place = bisect_right(self._sorted, window) - 1
        while place >= 0:
            name = self._sorted[place]
            end = start + len(name)
            if (
                window.startswith(name)
                and _key(text, folded, start, end) in self._meanings
                and not _JOINED.match(text, end)
            ):
                return end
            place = self._shorter[place]
        return None


def _key(text: str, folded: str, start: int, end: int) -> str:
    if end - start > SHORT:
        return folded[start:end]
    return text[start:end].translate(_BLANKS)


def _folded(text: str) -> str:
    """In lower case, white space as blanks, as many characters as before."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(map(_lower, text))
    return lower.translate(_BLANKS)


def _lower(character: str) -> str:
    lower = character.lower()
    return lower if len(lower) == 1 else character
