"""XML files, one element of a kind at a time, whatever their size."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary


def elements(path: str | Path, tag: str) -> Iterator[Element]:
    """Every element called `tag` (its namespace aside), in the order in which they end.

    An element is emptied when the next one is asked for. Tags within it have no namespace.

    Raises:
      BadInput: the file is missing or damaged, or its XML is broken from some line on.
    """
    with open_binary(path) as file:
        open_elements: list[Element] = []
        try:
            for event, element in ElementTree.iterparse(file, events=("start", "end")):
                if event == "start":
                    open_elements.append(element)
                    element.tag = local(element.tag)
                    continue
                open_elements.pop()
                if element.tag == tag:
                    yield element
                    element.clear()
                    if open_elements:  # its parent would keep it
                        open_elements[-1].remove(element)
        except ElementTree.ParseError as error:
            line, column = error.position
            raise BadInput(
                f"{path}: broken XML at line {line}, column {column} ({error.msg}): fetch it again"
            ) from None


def local(tag: str) -> str:
    """A tag without its namespace: `{http://uniprot.org/uniprot}entry` -> `entry`."""
    return tag.rsplit("}", 1)[-1]


def text_of(element: Element | None) -> str:
    """All text within an element, blanks made single; "" for None."""
    return "" if element is None else " ".join("".join(element.itertext()).split())
