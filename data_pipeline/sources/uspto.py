"""US patents and applications: full text from the USPTO, as it publishes them week by week.

`ipg260106.zip` (grants) and `ipa260101.zip` (applications) with XML, `pg020827.zip`,
`pa010315.zip` before 2005, `pftaps19760106_wk01.zip` with text to 2001; zipped or unpacked.
https://data.uspto.gov/bulkdata (product "full text, no images"). Text and drawings of patents are
mostly free of copyright (37 CFR 1.71(d), 1.84(s)).
Read are the abstract, the description with its headings, and the claims: see `formats.patent_xml`
and `formats.patent_aps`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from xml.etree.ElementTree import Element

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary
from data_pipeline.formats import patent_aps, patent_xml, xml
from data_pipeline.formats.archives import open_members
from data_pipeline.records import TextRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

_TEXTS = (".xml", ".XML", ".txt", ".TXT")


@dataclass(frozen=True)
class Options(Limited):
    """What to read of a patent.

    Attributes:
      claims: its claims, too, after the description.
    """

    claims: bool = True


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "uspto", (*_TEXTS, ".zip"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[TextRecord]:
    """One record per patent or application, called by its number (`US07997973B2`)."""
    make = partial(_record, options=options, tally=tally)
    return records(options.first(_documents(file)), make, tally)


Document = Element | list[patent_aps.Field]


def _documents(file: Path) -> Iterator[tuple[str, Document | BadInput]]:
    """The documents of a file or a zip archive, called by their file and their place in it."""
    if file.suffix == ".zip":
        for name, content in open_members(file, _TEXTS):
            yield from _numbered(name, content)
    else:
        with open_binary(file) as content:
            yield from _numbered(file.name, content)


def _numbered(name: str, lines: Iterable[bytes]) -> Iterator[tuple[str, Document | BadInput]]:
    lines = iter(lines)
    first = next(lines, b"")
    whole = chain((first,), lines)
    is_xml = first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    found = map(_parsed, xml.documents(whole)) if is_xml else patent_aps.patents(whole)
    for number, document in enumerate(found, start=1):
        yield f"{name}:{number}", document


def _parsed(content: bytes) -> Element | BadInput:
    try:
        return xml.parse(content)
    except BadInput as error:
        return error


def _record(where: str, document: Document, options: Options, tally: Tally) -> TextRecord:
    def hole() -> None:
        tally.lose("formula or structure that is a picture", where)

    patent = (patent_aps if isinstance(document, list) else patent_xml).patent(document, hole)
    text = (*patent.abstract, *patent.description, *(patent.claims if options.claims else ()))
    if not text:
        raise BadInput("no text")
    return TextRecord(patent.number, patent.title, "\n\n".join(text))
