"""S2ORC, full text of open-access papers, as the Semantic Scholar datasets API gives it out.

JSON Lines, `.gz`: the dataset `s2orc_v2` (`title`, and under `body` a text and its annotations) or
the older `s2orc` (both under `content`; title and abstract are annotations, too). Annotations are
lists of spans, `{"start", "end", "attributes"}` in characters of the text, each list a JSON text
itself. https://api.semanticscholar.org/api-docs/datasets, https://github.com/allenai/s2orc
Licence: ODC-By 1.0, and that of each paper.

Read are the spans called paragraph, abstract and section header (these with their number): figures,
tables, formulas between paragraphs, footnotes and references are left out. The layout of the page
(line ends) goes, hyphens stay.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import json_objects
from data_pipeline.records import TextRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "s2orc", (".jsonl", ".gz"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[TextRecord]:
    """One record per paper with paragraphs, called by its corpus id."""
    return records(options.first(json_objects(file)), _record, tally)


class _Span(NamedTuple):
    start: int
    end: int
    number: str = ""  # of a section
    heading: bool = False


def _record(where: str, paper: dict) -> TextRecord:
    identifier = paper.get("corpusid")
    if not isinstance(identifier, int | str) or not str(identifier):
        raise BadInput("no corpusid")
    content = paper.get("body") or paper.get("content")
    text = content.get("text") if isinstance(content, dict) else None
    if not isinstance(text, str) or not text:
        raise BadInput("no full text")
    annotations = content.get("annotations") or {}
    spans = _prose(annotations, text)
    paragraphs = [_line(text, span) for span in spans]
    title = paper.get("title") or ""
    if not title and (spans := _spans(annotations, "title", text)):
        title = _line(text, spans[0])  # what follows is often not one
    return TextRecord(
        str(identifier), " ".join(str(title).split()), "\n\n".join(filter(None, paragraphs))
    )


def _prose(annotations: dict, text: str) -> list[_Span]:
    """The spans to read, in order, without overlaps."""
    paragraphs = _spans(annotations, "paragraph", text)
    if not paragraphs:
        raise BadInput("no paragraphs")
    abstract = (
        span
        for span in _spans(annotations, "abstract", text)
        if not any(span.start < other.end and other.start < span.end for other in paragraphs)
    )
    headings = (
        span._replace(heading=True)
        for name in ("section_header", "sectionheader")
        for span in _spans(annotations, name, text)
    )
    found: list[_Span] = []
    for span in sorted(
        (*paragraphs, *abstract, *headings), key=lambda span: (span.start, -span.end)
    ):
        if found and span.end <= found[-1].end:
            continue  # given twice, or within another
        if found and span.start < found[-1].end:
            raise BadInput("annotations overlap")
        found.append(span)
    while found[-1].heading:  # over what is not read
        found.pop()
    return found


def _spans(annotations: dict, name: str, text: str) -> list[_Span]:
    try:
        given = json.loads(annotations.get(name) or "[]")
        spans = [_span(span) for span in given]
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError, RecursionError):
        raise BadInput("annotations are no lists of spans") from None
    if not all(0 <= span.start <= span.end <= len(text) for span in spans):
        raise BadInput("annotations reach beyond the text")
    return spans


def _span(given: dict[str, Any]) -> _Span:
    number = (given.get("attributes") or {}).get("n") or ""
    return _Span(int(given["start"]), int(given["end"]), str(number))  # may be numbers as text


def _line(text: str, span: _Span) -> str:
    words = text[span.start : span.end].split()
    return " ".join([span.number, *words] if span.number and words else words)
