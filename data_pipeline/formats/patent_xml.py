"""Patents in the XML that the USPTO has used: grants from 2002 on, applications from 2001 on.

Three vocabularies: `us-patent-grant` and `us-patent-application` (ICE, version 4, since 2005),
`PATDOC` (grants, ST.32, to 2004) and `patent-application-publication` (to 2004). Weekly files hold
thousands of such documents, one after the other (`formats.xml.documents`).
https://www.uspto.gov/learning-and-resources/xml-resources

Tables and pictures are left out; a formula or structure that is a picture is a hole in its
sentence. Numbers of paragraphs are left out, those of claims are part of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.markup import Markup, line, paragraphs, tags
from data_pipeline.formats.patent import Patent
from data_pipeline.formats.xml import text_of


@dataclass(frozen=True)
class _Form:
    """Where a vocabulary has what, and what its tags mean."""

    bibliography: str
    number: tuple[str, ...]  # within the bibliography; without a country it is US
    title: str  # likewise
    abstract: str
    description: str
    claims: tuple[str, ...]
    markup: Markup


_PUBLICATION = "publication-reference/document-id/"
_ICE = {
    "number": tuple(_PUBLICATION + part for part in ("country", "doc-number", "kind")),
    "title": "invention-title",
    "abstract": "abstract",
    "description": "description",
    "claims": ("us-claim-statement", "claims"),
    "markup": Markup(
        blocks=tags("p heading ul ol li dl dt dd claim-text"),
        joined=tags("claim"),
        formulas=tags("maths math chemistry"),
        left_out=tags("tables table img"),
    ),
}
_FORMS = {
    "us-patent-grant": _Form("us-bibliographic-data-grant", **_ICE),
    "us-patent-application": _Form("us-bibliographic-data-application", **_ICE),
    "PATDOC": _Form(
        "SDOBI",
        number=("B100/B110", "B100/B130"),
        title="B500/B540",
        abstract="SDOAB",
        description="SDODE",
        claims=("SDOCL",),
        markup=Markup(
            blocks=tags("PARA H UL LI CLMSTEP"),
            joined=tags("CLM"),
            formulas=tags("MATH-US math CHEM-US"),
            left_out=tags("TABLE-US EMI CHEMCDX CHEMMOL"),
        ),
    ),
    "patent-application-publication": _Form(
        "subdoc-bibliographic-information",
        number=("document-id/doc-number", "document-id/kind-code"),
        title="technical-information/title-of-invention",
        abstract="subdoc-abstract",
        description="subdoc-description",
        claims=("subdoc-claims",),
        markup=Markup(
            blocks=tags("paragraph heading unordered-list ordered-list list-item claim-text"),
            joined=tags("claim"),
            formulas=tags("math-cwu math chemistry-cwu"),
            left_out=tags("number table-cwu image"),
        ),
    ),
}


def patent(root: Element, hole: Callable[[], None]) -> Patent:
    """The patent of a document; `hole` is called for each formula that is a picture.

    Raises:
      BadInput: "sequence listing" (they stand between the patents), "no patent", "no number".
    """
    if root.tag.startswith("sequence"):
        raise BadInput("sequence listing")
    form = _FORMS.get(root.tag)
    if form is None:
        raise BadInput("no patent")
    bibliography = root.find(form.bibliography)
    if bibliography is None:
        raise BadInput("no number")
    number = "".join(text_of(bibliography.find(part)) for part in form.number)
    if not number:
        raise BadInput("no number")

    def read(*names: str) -> tuple[str, ...]:
        found = (element for name in names for element in root.iterfind(name))
        return tuple(text for element in found for text in paragraphs(element, form.markup, hole))

    return Patent(
        number if number.startswith("US") else f"US{number}",
        line(bibliography.find(form.title), form.markup, hole),
        read(form.abstract),
        read(form.description),
        read(*form.claims),
    )
