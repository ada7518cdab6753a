"""Patents in the USPTO's text format of 1976 to 2001 ("Green Book", APS).

A line is a tag of up to four letters and, from the sixth sign on, its text; it goes on in lines
that begin with blanks. `PATN` begins a patent; other tags of four letters begin its sections.
https://www.uspto.gov/sites/default/files/products/PatentFullTextAPSGreenBook-Documentation.pdf

Signs that ASCII lacks are words between dots: Greek letters and those of `_SIGNS` are given as the
signs; `.sub.` and `.sup.` as `formats.markup` has sub- and superscripts; others stay. Tables are
left out, and so are pictures (`##STR1##`), which are holes in their sentence.
"""

import html.entities
import re
from collections.abc import Callable, Iterable, Iterator

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import decoded
from data_pipeline.formats.patent import Patent

Field = tuple[str, str]  # tag, text
_PARAGRAPH = re.compile("PA[LRC0-9]|STM")
_DESCRIPTION = ("GOVT", "PARN", "BSUM", "DRWD", "DETD")
_CLAIMS = ("CLMS", "DCLM")

_PICTURE = re.compile(r"##[A-Z]+\d+##")
_EXPONENT = re.compile(r"(?<=[\w)\]])\.sup\.(-?\d+)(?![\d+-])")
_SCRIPT = re.compile(r"\.su[bp]\.")
_WORD = re.compile(r"\.([A-Za-z]+|\+-|-\+)\.")
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma "
    "tau upsilon phi chi psi omega"
)
_SIGNS = {
    **{name: html.entities.html5[f"{name};"] for name in _GREEK.split()},
    **{name.upper(): html.entities.html5[f"{name.capitalize()};"] for name in _GREEK.split()},
    "ANG": "\u00c5",
    "RTM": "\u00ae",
    "TM": "\u2122",
    "+-": "\u00b1",
    "-+": "\u2213",
    "about": "~",
    "apprxeq": "\u2248",
    "crclbar": "\u2296",
    "dbd": "=",
    "degree": "\u00b0",
    "div": "\u00f7",
    "fwdarw": "\u2192",
    "gtoreq": "\u2265",
    "infin": "\u221e",
    "intg": "\u222b",
    "ltoreq": "\u2264",
    "multidot": "\u00b7",
    "noteq": "\u2260",
    "prime": "\u2032",
    "rarw": "\u2190",
    "sqroot": "\u221a",
    "sym": "\u2295",
    "tbd": "\u2261",
    "times": "\u00d7",
}


def patents(lines: Iterable[bytes]) -> Iterator[list[Field] | BadInput]:
    """The fields of each patent, in order; what stands before the first is the file's header."""
    fields: list[Field] | BadInput | None = None
    for line in lines:
        if line[:4] == b"PATN":
            if fields is not None:
                yield fields
            fields = []
        elif isinstance(fields, list):
            try:
                text = decoded(line).rstrip()
            except BadInput as error:
                fields = error
                continue
            if text[:1].isspace() and fields:
                tag, begun = fields[-1]
                fields[-1] = tag, f"{begun} {text.strip()}"
            elif text:
                fields.append((text[:4].strip(), text[5:].strip()))
    if fields is not None:
        yield fields


def patent(fields: list[Field], hole: Callable[[], None]) -> Patent:
    """The patent that has these fields; `hole` is called for each picture in its text.

    Raises:
      BadInput: "no number".
    """
    number = title = ""
    section, in_claim = "PATN", False
    texts: dict[str, list[str]] = {}
    for tag, text in fields:
        if len(tag) == 4 and not text:
            section, in_claim = tag, False
        elif section == "PATN" and tag == "WKU":
            number = text[:8]  # the ninth sign checks the others
        elif section == "PATN" and tag == "TTL":
            title = _signs(text, hole)
        elif tag == "NUM" and section in _CLAIMS:
            texts.setdefault(section, []).append("")
            in_claim = True
        elif _PARAGRAPH.fullmatch(tag):
            paragraph = _signs(text, hole)
            found = texts.setdefault(section, [])
            if in_claim:
                found[-1] = f"{found[-1]} {paragraph}".strip()
            else:
                found.append(paragraph)
    if not number:
        raise BadInput("no number")

    def read(*sections: str) -> tuple[str, ...]:
        return tuple(text for name in sections for text in texts.get(name, ()) if text)

    return Patent(f"US{number}", title, read("ABST"), read(*_DESCRIPTION), read(*_CLAIMS))


def _signs(text: str, hole: Callable[[], None]) -> str:
    text, pictures = _PICTURE.subn(" ", text)
    for _ in range(pictures):
        hole()
    text = _SCRIPT.sub("", _EXPONENT.sub(r"^\1", text))
    text = _WORD.sub(lambda word: _SIGNS.get(word[1], word[0]), text)
    return " ".join(text.split())
