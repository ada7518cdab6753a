"""PubMed abstracts: the yearly baseline and the daily update files of the NLM.

`pubmed26n0001.xml.gz` and on (https://pubmed.ncbi.nlm.nih.gov/download/, elements:
https://dtd.nlm.nih.gov/ncbi/pubmed/doc/out/250101/), free to use under the NLM's terms
(https://www.nlm.nih.gov/databases/download/terms_and_conditions.html), while abstracts may be
their publishers'. Read are the title and the abstract of each `PubmedArticle` and
`PubmedBookArticle`:

- a labelled part of an abstract is a paragraph `BACKGROUND: ...`; formulas and other markup are as
  in `formats.markup`;
- `Abstract` is English; abstracts in other languages (`OtherAbstract`) follow it where the options
  ask for their language, English ones of another kind (plain-language summaries) too;
- a title in brackets is NLM's translation, given here without them; "[Not Available]" and
  "[In Process Citation]" are no titles.

A later file replaces citations of earlier ones, or deletes them (`DeleteCitation`), which readers
of single files cannot follow: deletions are counted, and the option `deleted` takes
`deleted.pmids.gz` of the same site.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar
from xml.etree.ElementTree import Element

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import xml
from data_pipeline.formats.lines import read_lines
from data_pipeline.formats.markup import Markup, line
from data_pipeline.records import TextRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.remembered import remembered
from data_pipeline.sources.tally import Tally

_MARKUP = Markup()
_NO_LABEL = ("", "UNLABELLED", "UNASSIGNED")
_NO_TITLE = ("not available", "in process citation")


@dataclass(frozen=True)
class Options(Limited):
    """Which abstracts to read.

    Attributes:
      languages: of the abstract, as ISO 639-2 has them: "eng", "spa", "chi".
      deleted: a file of PMIDs, one a line, that are not to be read.
    """

    languages: tuple[str, ...] = ("eng",)
    deleted: str | None = None

    beside: ClassVar[tuple[str, ...]] = ("deleted",)

    def __post_init__(self):
        super().__post_init__()
        for language in self.languages:
            if not re.fullmatch("[a-z]{3}", language):
                raise BadInput(f"languages: {language!r} is no code of three letters, such as eng")


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "pubmed", (".xml",))


def read(file: Path, options: Options, tally: Tally) -> Iterator[TextRecord]:
    """One record per citation with an abstract, called by its PMID (with a later version's number:
    `20029614.2`)."""
    deleted = _deleted(options.deleted) if options.deleted else frozenset()
    make = partial(_record, options=options, deleted=deleted, tally=tally)
    return records(options.first(_citations(file)), make, tally)


def _citations(file: Path) -> Iterator[tuple[str, Element | BadInput]]:
    """Each article by its id, and each that the file says to delete, as a BadInput."""
    for element in xml.elements(file, "PubmedArticle", "PubmedBookArticle", "DeleteCitation"):
        if element.tag == "DeleteCitation":
            for pmid in element.iter("PMID"):
                yield _identifier(pmid), BadInput("deletion of an earlier citation")
        else:
            pmid = element.find("./*/PMID")
            missing = pmid is None or not pmid.text
            yield (file.name, BadInput("no PMID")) if missing else (_identifier(pmid), element)


def _identifier(pmid: Element) -> str:
    version = pmid.get("Version", "1")
    return (pmid.text or "").strip() + (f".{version}" if version != "1" else "")


def _record(
    identifier: str, element: Element, options: Options, deleted: frozenset[str], tally: Tally
) -> TextRecord:
    if identifier.partition(".")[0] in deleted:
        raise BadInput("deleted by the NLM")

    def hole() -> None:
        tally.lose("formula that is a picture", identifier)

    text = "\n\n".join(
        paragraph
        for abstract in _abstracts(element, options.languages)
        for part in abstract.iter("AbstractText")
        if (paragraph := _paragraph(part, line(part, _MARKUP, hole)))
    )
    if not text:
        raise BadInput("no abstract in the languages asked for")
    title = next((found for tag in _TITLES if (found := element.find(tag)) is not None), None)
    return TextRecord(identifier, _title(line(title, _MARKUP, hole)), text)


_TITLES = (
    "MedlineCitation/Article/ArticleTitle",
    "BookDocument/ArticleTitle",
    "BookDocument/Book/BookTitle",
)


def _abstracts(element: Element, languages: tuple[str, ...]) -> Iterator[Element]:
    if "eng" in languages:
        yield from element.iterfind("MedlineCitation/Article/Abstract")
        yield from element.iterfind("BookDocument/Abstract")
    for abstract in element.iterfind("MedlineCitation/OtherAbstract"):
        if abstract.get("Language", "eng") in languages:
            yield abstract


def _paragraph(part: Element, text: str) -> str:
    label = part.get("Label", "").strip().rstrip(":")
    return f"{label}: {text}" if text and label.upper() not in _NO_LABEL else text


def _title(title: str) -> str:
    inner = title.removesuffix(".").strip()
    if inner.startswith("[") and _closes_at_the_end(inner):
        inner = inner[1:-1].strip()
        if inner.rstrip(".").lower() in _NO_TITLE:
            return ""
        return inner if inner.endswith((".", "?", "!")) else f"{inner}."
    return title


def _closes_at_the_end(text: str) -> bool:
    """Whether the bracket that opens a text is closed by its last sign."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "[") - (sign == "]")
        if not depth:
            return place == len(text) - 1
    return False


@remembered
def _deleted(path: str) -> frozenset[str]:
    return frozenset(line.strip().decode("ascii", "replace") for line in read_lines(path))
