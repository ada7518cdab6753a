"""XML: files of any size, one element of a kind at a time, and documents held in memory.

Nothing outside a document is ever fetched, whatever it declares; entities that expand without end
are refused by the parser (expat 2.4.1 and later).
"""

import html.entities
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers.expat import ErrorString

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary

# Deeper than any corpus nests, and safe for functions that call themselves for each level.
DEEPEST = 200

_PROLOGUE = 4096  # bytes in which a document type stands
_DECLARATION = re.compile(rb"(?:\xef\xbb\xbf)?\s*(<\?xml[^>]*\?>)?")


def elements(path: str | Path, *tags: str) -> Iterator[Element]:
    """Every element called one of `tags` (namespaces aside), in the order in which they end.

    An element is emptied when the next one is asked for, and what is outside of them is not kept:
    memory holds one at a time. Tags within it have no namespace.

    Raises:
      BadInput: the file is missing or damaged, or its XML is broken from some line on.
    """
    with open_binary(path) as file:
        open_elements: list[Element] = []
        wanted = 0  # how many of those open are of `tags`
        try:
            for event, element in ElementTree.iterparse(file, events=("start", "end")):
                if event == "start":
                    element.tag = local(element.tag)
                    wanted += element.tag in tags
                    open_elements.append(element)
                    if len(open_elements) > DEEPEST:
                        raise BadInput(f"{path}: XML nested deeper than {DEEPEST} elements")
                    continue
                open_elements.pop()
                if element.tag in tags:
                    wanted -= 1
                    yield element
                    element.clear()
                elif wanted:
                    continue
                if open_elements:  # its parent would keep it
                    open_elements[-1].remove(element)
        except ElementTree.ParseError as error:
            line, column = error.position
            raise BadInput(
                f"{path}: broken XML at line {line}, column {column} "
                f"({ErrorString(error.code)}): fetch it again"
            ) from None
        except BadInput:
            raise
        except (LookupError, ValueError) as error:  # an encoding that expat does not know
            raise BadInput(f"{path}: {error}") from None


def documents(file: BinaryIO) -> Iterator[bytes]:
    """The XML documents of a file that holds one after the other, each begun on a line `<?xml`.

    What stands before the first of them is a document too, unless it is blank.
    """
    lines: list[bytes] = []
    for line in file:
        if line.startswith(b"<?xml ") and any(map(bytes.strip, lines)):
            yield b"".join(lines)
            lines.clear()
        lines.append(line)
    if any(map(bytes.strip, lines)):
        yield b"".join(lines)


def parse(content: bytes) -> Element:
    """The root of a document in memory; its tags have no namespace.

    Entities of the ISO and HTML sets (`&agr;`, `&minus;`) are known by name, declared or not.

    Raises:
      BadInput: a reason without the place, to be counted: "broken XML (mismatched tag)".
    """
    parser = ElementTree.XMLParser()
    parser.entity.update(_entities())
    try:
        if b"<!DOCTYPE" in content[:_PROLOGUE]:
            parser.feed(content.lstrip())
        else:  # expat knows names only of documents that have one
            declaration = _DECLARATION.match(content)
            parser.feed(declaration[1] or b"")
            parser.feed(b'<!DOCTYPE any SYSTEM "any">')
            parser.feed(content[declaration.end() :])
        root = parser.close()
    except ElementTree.ParseError as error:
        raise BadInput(f"broken XML ({ErrorString(error.code)})") from None
    except (LookupError, ValueError):
        raise BadInput("XML in an unknown encoding") from None
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise BadInput(f"XML nested deeper than {DEEPEST} elements")
        for element in level:
            element.tag = local(element.tag)
        level = [child for element in level for child in element]
    return root


def local(tag: str) -> str:
    """A tag without its namespace: `{http://uniprot.org/uniprot}entry` -> `entry`."""
    return tag.rsplit("}", 1)[-1]


def text_of(element: Element | None) -> str:
    """All text within an element, blanks made single; "" for None."""
    return "" if element is None else " ".join("".join(element.itertext()).split())


@cache
def _entities() -> dict[str, str]:
    """Names of characters: those of HTML, which are most of ISO's, and the Greek of ISOgrk1."""
    named = {name[:-1]: text for name, text in html.entities.html5.items() if name.endswith(";")}
    letters = "a b g d e z ee th i k l m n x o p r sf s t u ph kh ps oh"  # as Unicode has them
    for offset, letter in enumerate(letters.split()):
        named[f"{letter}gr"] = chr(0x3B1 + offset)
        named[f"{letter.upper()}gr"] = chr(0x391 + offset)
    return named
