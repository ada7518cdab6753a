"""Articles in JATS, the XML of PubMed Central and bioRxiv (NISO Z39.96, https://jats.nlm.nih.gov).

The text of an article is its abstract, its body, and the captions of its figures and tables:

- headings (with their number) and list items are paragraphs of their own;
- figures and tables are their label and caption, in one paragraph where they stand, at the end
  where the article keeps them apart (`floats-group`); cells, pictures and notes are left out;
- formulas and other markup are as in `formats.markup`;
- left out: footnotes, supplementary files, and all that stands behind the body (acknowledgements,
  references, appendices), responses and reviews (`sub-article`), abstracts that are pictures or
  teasers, translated abstracts.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from biomatrix_jax.errors import BadInput
from biomatrix_jax.reading import open_binary
from data_pipeline.formats import xml
from data_pipeline.formats.archives import open_members
from data_pipeline.formats.markup import Markup, line, paragraphs, tags
from data_pipeline.records import TextRecord

_ARCHIVES = (".tar", ".tgz", ".zip", ".meca")

_MARKUP = Markup(
    blocks=tags(
        "abstract body sec p caption disp-quote boxed-text statement list def-list "
        "verse-group verse-line preformat code fig-group floats-group"
    ),
    heads=tags("title"),
    joined=tags("fig table-wrap list-item def-item speech"),
    formulas=tags("disp-formula inline-formula math tex-math chem-struct-wrap"),
    left_out=tags(
        "table array table-wrap-foot graphic inline-graphic media supplementary-material fn "
        "fn-group ref-list object-id permissions alt-text long-desc sec-meta"
    ),
)
_NOT_READ = frozenset({"graphical", "toc", "teaser", "video"})  # kinds of abstract


def articles(
    file: Path, suffixes: tuple[str, ...], folder: str = ""
) -> Iterator[tuple[str, Element | BadInput]]:
    """The articles of an XML file, or of those files of an archive that are in `folder`.

    One that cannot be read comes as the BadInput that says why.

    Raises:
      BadInput: the file is missing, or it is an archive that is damaged.
    """
    if any(suffix in _ARCHIVES for suffix in file.suffixes):
        empty = True
        for name, content in open_members(file, suffixes):
            if name.replace("\\", "/").startswith(folder):
                empty = False
                yield from _articles(name, content.read())
        if empty:
            yield file.name, BadInput("no article in the package")
    else:
        with open_binary(file) as content:
            yield from _articles(file.name, content.read())


def _articles(name: str, content: bytes) -> Iterator[tuple[str, Element | BadInput]]:
    try:
        root = xml.parse(content)
    except BadInput as error:
        yield name, error
        return
    found = list(root.iter("article"))  # more than one in what a search of PMC gives
    yield from ((name, article) for article in found)
    if not found:
        yield name, BadInput("no JATS article")


def record(identifier: str, article: Element, hole: Callable[[], None]) -> TextRecord:
    """The title and the text of an article; `hole` is called for each formula that is lost.

    Raises:
      BadInput: "no full text".
    """
    body = article.find("body")
    if body is None or not (full_text := _paragraphs(body, hole)):
        raise BadInput("no full text")
    text = [
        paragraph
        for abstract in article.iterfind("front/article-meta/abstract")
        if abstract.get("abstract-type", "") not in _NOT_READ
        for paragraph in _paragraphs(abstract, hole)
    ]
    text += full_text
    for floats in article.iterfind("floats-group"):
        text += _paragraphs(floats, hole)
    titles = (
        line(article.find(f"front/article-meta/title-group/{tag}"), _MARKUP, hole)
        for tag in ("article-title", "subtitle")
    )
    return TextRecord(identifier, ": ".join(filter(None, titles)), "\n\n".join(text))


def article_id(article: Element, *kinds: str) -> str:
    """The first identifier that the article has of one of `kinds`, "" if none."""
    given = {
        element.get("pub-id-type"): (element.text or "").strip()
        for element in article.iterfind("front/article-meta/article-id")
    }
    return next((given[kind] for kind in kinds if given.get(kind)), "")


def _paragraphs(element: Element, hole: Callable[[], None]) -> list[str]:
    for parent in (element, *element.iter("sec")):  # headings over nothing but links to files
        for section in parent.findall("sec[@sec-type='supplementary-material']"):
            parent.remove(section)
    return paragraphs(element, _MARKUP, hole)
