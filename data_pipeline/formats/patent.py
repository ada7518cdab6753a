"""What is read of a patent, whatever it is written in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patent:
    """Paragraphs of a patent; headings are paragraphs, a claim is one.

    `number` has the country, eight digits or letters (eleven digits of an application) and, where
    the file says it, the kind: `US07997973B2`.
    """

    number: str
    title: str
    abstract: tuple[str, ...]
    description: tuple[str, ...]
    claims: tuple[str, ...]
