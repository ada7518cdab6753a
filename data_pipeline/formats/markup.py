r"""Whole paragraphs of plain text out of XML that marks up prose (JATS, PubMed, patents).

What becomes of markup within a paragraph:

- emphasis, links and names: their text;
- subscripts: their text, as in H2O; superscripts: likewise, as in Ca2+, but a plain number after
  a letter or number is an exponent and gets a `^`: 10^-5;
- reference marks that are superscript: nothing, as they would stick to the word before;
- formulas: their TeX if given, else their MathML on one line, else their text. A formula that is
  only a picture leaves a hole in its sentence and is reported.

Blanks, line ends among them, are made single.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from data_pipeline.formats.mathml import linear

_SUPERSCRIPTS = ("sup", "superscript", "SP")
_EXPONENT = re.compile(r"[-\u2212\u2013]?\d+([.,]\d+)?")
_TEX_DOCUMENT = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)


def tags(names: str) -> frozenset[str]:
    """The tags that a line names, separated by blanks."""
    return frozenset(names.split())


@dataclass(frozen=True)
class Markup:
    """What the tags of a vocabulary are; those that it does not name are part of a line.

    Attributes:
      blocks: a paragraph begins and ends here.
      heads: a paragraph ends here: a heading, with the number that stands before it.
      joined: one paragraph, whatever blocks are in it.
      formulas: formulas and drawings of molecules.
      left_out: neither these nor what is in them is text.
    """

    blocks: frozenset[str] = frozenset()
    heads: frozenset[str] = frozenset()
    joined: frozenset[str] = frozenset()
    formulas: frozenset[str] = frozenset({"math"})
    left_out: frozenset[str] = frozenset()


def paragraphs(element: Element, markup: Markup, hole: Callable[[], None]) -> list[str]:
    """The paragraphs in an element, none of them empty; `hole` is called for a formula lost."""
    walk = _Walk(markup, hole)
    walk.visit(element)
    walk.end()
    return walk.paragraphs


def line(element: Element | None, markup: Markup, hole: Callable[[], None]) -> str:
    """All of an element in one line; "" for None."""
    return "" if element is None else " ".join(paragraphs(element, markup, hole))


class _Walk:
    """Goes through an element once, in the order of its text."""

    def __init__(self, markup: Markup, hole: Callable[[], None]):
        self.markup, self.hole = markup, hole
        self.paragraphs: list[str] = []
        self.pieces: list[str] = []  # of the paragraph that is being made
        self.joined = 0  # how many elements we are in that are one paragraph

    def end(self) -> None:
        if self.joined:
            self.pieces.append(" ")
            return
        if text := " ".join("".join(self.pieces).split()):
            self.paragraphs.append(text)
        self.pieces.clear()

    def visit(self, element: Element) -> None:
        tag, markup = element.tag, self.markup
        if tag in markup.left_out or _is_superscript_mark(element):
            return
        if tag in markup.formulas:
            self.pieces.append(self.formula(element))
            return
        if tag in ("tex-math", "math"):
            self.pieces.append(linear(element) if tag == "math" else _tex(element))
            return
        apart = tag in markup.blocks or tag in markup.joined
        if apart:
            self.end()
        elif tag in markup.heads:
            self.pieces.append(" ")
        if tag in _SUPERSCRIPTS and self.is_exponent(element):
            self.pieces.append("^")
        self.joined += tag in markup.joined
        self.inside(element)
        self.joined -= tag in markup.joined
        if apart or tag in markup.heads:
            self.end()
        elif tag in ("break", "br"):
            self.pieces.append(" ")

    def inside(self, element: Element) -> None:
        self.pieces.append(element.text or "")
        for child in element:
            self.visit(child)
            self.pieces.append(child.tail or "")

    def is_exponent(self, superscript: Element) -> bool:
        before = next((piece for piece in reversed(self.pieces) if piece), " ")[-1]
        content = "".join(superscript.itertext()).strip()
        return bool((before.isalnum() or before in ")]") and _EXPONENT.fullmatch(content))

    def formula(self, element: Element) -> str:
        label = " ".join(child.text or "" for child in element.iter("label")).strip()
        left_out = self.markup.left_out | {"label"}
        if next(element.iter("tex-math"), None) is not None:
            left_out |= {"math"}  # says the same
        inside = _Walk(Markup(formulas=frozenset(), left_out=left_out), self.hole)
        inside.visit(element)
        inside.end()
        text = " ".join(inside.paragraphs)
        if not text:
            self.hole()
        return f" {text} {label} " if label else text


def _is_superscript_mark(element: Element) -> bool:
    """Whether this is a superscript of cross-references, or a cross-reference that is one."""
    if element.tag == "sup":
        return bool(len(element)) and all(child.tag == "xref" for child in element)
    if element.tag == "xref":
        inside = [child.tag for child in element]
        return inside == ["sup"] and not (element.text or element[0].tail or "").strip()
    return False


def _tex(element: Element) -> str:
    text = "".join(element.itertext())
    document = _TEX_DOCUMENT.search(text)  # else all of its preamble would be text
    return " ".join((document[1] if document else text).split())
