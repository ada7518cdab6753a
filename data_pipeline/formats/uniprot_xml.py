"""UniProtKB in XML (`.xml`), by its schema: https://www.uniprot.org/docs/uniprot.xsd.

Entries are cut out by their tags, each on its own lines in these files, and parsed one by one: that
takes half the time of a parser of the whole file, and a broken entry does not end it.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.blocks import blocks
from data_pipeline.formats.uniprot import ASPECTS, TOPICS, Entry, prose
from data_pipeline.formats.xml import local, text_of

_BEGIN, _END, _LAST = b"<entry ", b"</entry>", b"</uniprot>"
_GENE_NAMES = ("primary", "ordered locus", "ORF")
# Of biophysicochemical properties: what the flat file writes before each.
_SECTIONS = {
    "absorption": "Absorption: ",
    "kinetics": "Kinetic parameters: ",
    "phDependence": "pH dependence: ",
    "redoxPotential": "Redox potential: ",
    "temperatureDependence": "Temperature dependence: ",
}
_VALUES = {"max": "Abs(max)=", "KM": "KM=", "Vmax": "Vmax=", "text": ""}


def entries(path: str | Path) -> Iterator[tuple[str, Entry | BadInput]]:
    """Each entry, called by its accession, or its place where it has none.

    Raises:
      BadInput: the file is damaged, or ends before its last tag.
    """
    name = Path(path).name
    number = 0
    for block in blocks(path, _END):
        begin = block.find(_BEGIN)
        if begin >= 0 and _LAST not in block:
            number += 1
            yield _parsed(block[begin:] + _END, f"{name}, entry {number}")
    if _LAST not in block:
        raise BadInput(f"{path}: ends without </uniprot>: no UniProtKB XML, or cut short")


def _parsed(content: bytes, where: str) -> tuple[str, Entry | BadInput]:
    try:
        element = ElementTree.fromstring(content)
        if element.tag != "entry":  # single downloads name the namespace here, not in the root
            for part in element.iter():
                part.tag = local(part.tag)
        accession = text_of(element.find("accession"))
        if not accession:
            raise BadInput("no accession")
        where = accession
        return where, _entry(accession, element)
    except ElementTree.ParseError:
        return where, BadInput("broken XML")
    except BadInput as error:
        return where, error


def _entry(accession: str, element: Element) -> Entry:
    found = element.find("sequence")
    sequence = "" if found is None else "".join((found.text or "").split())
    if found is None or found.get("length") != str(len(sequence)):
        raise BadInput("sequence of another length than its element says: damaged")
    return Entry(
        accession=accession,
        names=tuple(dict.fromkeys(_names(element.find("protein")))),
        ec_numbers=tuple(reference.get("id", "") for reference in _references(element, "EC")),
        genes=tuple(filter(None, map(_gene, element.iterfind("gene")))),
        organism=_organism(element.find("organism")),
        comments=tuple(_comments(element)),
        go=tuple(_go(element)),
        keywords=tuple(map(text_of, element.iterfind("keyword"))),
        sequence=sequence,
    )


def _references(element: Element, database: str) -> Iterator[Element]:
    return element.iterfind(f"dbReference[@type='{database}']")


def _names(protein: Element | None) -> Iterator[str]:
    """Names of the whole protein: not of its domains and components."""
    for group in () if protein is None else protein:
        if group.tag in ("recommendedName", "alternativeName", "submittedName"):
            yield from (text_of(name) for name in group if name.tag in ("fullName", "shortName"))
        elif group.tag in ("allergenName", "biotechName", "cdAntigenName", "innName"):
            yield text_of(group)


def _gene(gene: Element) -> str:
    for kind in _GENE_NAMES:
        if name := text_of(gene.find(f"name[@type='{kind}']")):
            return name
    return ""


def _organism(organism: Element | None) -> str:
    if organism is None:
        return ""
    names = list(map(text_of, organism.iterfind("name")))
    return " ".join([*names[:1], *(f"({name})" for name in names[1:])])


def _go(element: Element) -> Iterator[tuple[str, str]]:
    for reference in _references(element, "GO"):
        term = reference.find("property[@type='term']")
        aspect, _, name = ("" if term is None else term.get("value", "")).partition(":")
        if aspect in ASPECTS:
            yield aspect, name


def _comments(element: Element) -> Iterator[tuple[str, str]]:
    for comment in element.iterfind("comment"):
        topic = comment.get("type", "").lower()
        if topic in TOPICS and (text := _text(topic, comment)):
            molecule = text_of(comment.find("molecule"))
            yield topic, prose(f"[{molecule}]: {text}" if molecule else text)


def _text(topic: str, comment: Element) -> str:
    own = " ".join(map(text_of, comment.iterfind("text")))
    if topic == "catalytic activity":
        return own or " ".join(map(text_of, comment.iterfind("reaction/text")))
    if topic == "cofactor":
        names = ", ".join(map(text_of, comment.iterfind("cofactor/name")))
        return f"{names}. {own}" if names else own
    if topic == "disease":
        return f"{_disease(comment.find('disease'))} {own}"
    if topic == "subcellular location":
        return " ".join([*map(_location, comment.iterfind("subcellularLocation")), own])
    if topic == "biophysicochemical properties":
        return " ".join(_section(part) for part in comment if part.tag in _SECTIONS)
    return own


def _disease(disease: Element | None) -> str:
    if disease is None:
        return ""
    name, acronym, description = (
        text_of(disease.find(tag)) for tag in ("name", "acronym", "description")
    )
    return f"{name} ({acronym}): {description}" if acronym else f"{name}: {description}"


def _location(location: Element) -> str:
    """As the flat file has it: "Cell membrane; Multi-pass membrane protein; Cytoplasmic side."."""
    parts = (", ".join(map(text_of, location.iterfind(tag)))
             for tag in ("location", "topology", "orientation"))  # fmt: skip
    return "; ".join(filter(None, parts)) + "."


def _section(section: Element) -> str:
    values = [_VALUES[part.tag] + text_of(part) for part in section if part.tag in _VALUES]
    # Without parts in files from before 2014.
    return f"{_SECTIONS[section.tag]}{'; '.join(values) or text_of(section)};"
