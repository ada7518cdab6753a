"""Spans in an annotated text -> spans in the document that it was made from.

Tools change a text before they annotate it. BERN2 strips it, turns line ends, tabs and no-break
spaces into spaces and leaves out all that is not ASCII, "TNF-α" becoming "TNF-"; PubTator joins
title and abstract in its own way. What stays is the sequence of visible ASCII characters, so by
that the two are laid together. (BERN2 also cuts words of more than 50 characters; then they
differ.)
"""

import re
from bisect import bisect_left, bisect_right
from itertools import accumulate

from biomatrix_jax.errors import BadInput

_RUN = re.compile("[!-~]+")


class Alignment:
    """Of one annotated text and one document; either may be a part of the other."""

    def __init__(self, annotated: str, document: str):
        """Raises BadInput where they are different texts."""
        self._annotated, self._document = _Visible(annotated), _Visible(document)
        here, there = self._annotated.text, self._document.text
        inner, outer = sorted((here, there), key=len)
        place = outer.find(inner)
        if place < 0 or not inner:
            raise BadInput("the annotated text is another one")
        self._shift = place if outer is there else -place

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """Where `annotated[start:end]` is in the document, without what is blank or not ASCII at
        its ends; None where that is outside."""
        first = self._annotated.before(start) + self._shift
        last = self._annotated.before(end) + self._shift - 1
        if not 0 <= first <= last < len(self._document.text):
            return None
        return self._document.place(first), self._document.place(last) + 1


class _Visible:
    """The visible ASCII characters of a text and where they stand in it."""

    def __init__(self, text: str):
        runs = list(_RUN.finditer(text))
        self.text = "".join(run[0] for run in runs)
        self._starts = [run.start() for run in runs]
        self._counts = [0, *accumulate(len(run[0]) for run in runs)]

    def before(self, place: int) -> int:
        """How many there are in text[:place]."""
        run = bisect_left(self._starts, place) - 1
        if run < 0:
            return 0
        return min(self._counts[run] + place - self._starts[run], self._counts[run + 1])

    def place(self, number: int) -> int:
        """Where the one with this number stands."""
        run = bisect_right(self._counts, number) - 1
        return self._starts[run] + number - self._counts[run]
