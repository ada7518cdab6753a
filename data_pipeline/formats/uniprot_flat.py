"""UniProtKB's flat file (`.dat`): lines of a two-letter code, entries that end with `//`.

The format is in https://web.expasy.org/docs/userman.html. `Bio.SwissProt` is not used: it puts a
blank where a word was broken at its hyphen ("calcium- transporting"), which changes every second
longer comment, and one bad entry ends its file.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.blocks import blocks
from data_pipeline.formats.lines import decoded
from data_pipeline.formats.uniprot import ASPECTS, TOPICS, Entry, prose, without_evidence

_LENGTH = re.compile(r"; +([0-9]{1,9}) AA\.$")
_NAME = re.compile(r"(?:(?:Rec|Sub|Alt)Name: )? *([A-Za-z_]+)=(.*);")
# Of several loci or frames the first; a name may have a semicolon ("HvPIP2;8").
_GENE = re.compile(r"(?:^|; )(?:Name=(.*?)|(?:OrderedLocusNames|ORFNames)=(.*?)(?:, .*?)?);(?: |$)")
_FIELDS = r"(?:Xref|EC|Evidence|PhysiologicalDirection|Reaction|Name|Note)="
_REACTION = re.compile(rf"Reaction=(.*?);(?= {_FIELDS}|$)")
_COFACTOR = re.compile(rf"Name=(.*?);(?= {_FIELDS}|$)")
_NOTE = re.compile(r"Note=(.*)")
_MOLECULE = re.compile(r"\[[^\]]+\]: ?")


def entries(path: str | Path) -> Iterator[tuple[str, Entry | BadInput]]:
    """Each entry, called by its accession, or its place where it has none.

    Raises:
      BadInput: the file is damaged, or ends within an entry.
    """
    name = Path(path).name
    last, number = b"", 0
    for number, block in enumerate(blocks(path, b"\n//\n")):
        if number:
            yield _parsed(last, f"{name}, entry {number}")
        last = block
    if (last := last.rstrip()).endswith(b"\n//"):  # without the end of the line
        yield _parsed(last[:-3], f"{name}, entry {number + 1}")
    elif last:
        raise BadInput(f"{path}: ends without //: no UniProtKB flat file, or cut short")


def _parsed(block: bytes, where: str) -> tuple[str, Entry | BadInput]:
    try:
        lines = _by_code(decoded(block))
        where = accession = _accession(lines)
        return where, _entry(accession, lines)
    except BadInput as error:
        return where, error


def _by_code(text: str) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for line in text.split("\n"):
        lines.setdefault(line[:2], []).append(line[5:])
    return lines


def _accession(lines: dict[str, list[str]]) -> str:
    if found := lines.get("AC", [""])[0].partition(";")[0].strip():
        return found
    raise BadInput("no accession (AC line)")


def _entry(accession: str, lines: dict[str, list[str]]) -> Entry:
    sequence = "".join(lines.get("  ", ())).replace(" ", "")
    length = _LENGTH.search(lines.get("ID", [""])[0].rstrip())
    if not length or int(length[1]) != len(sequence):
        raise BadInput("sequence of another length than the ID line says: damaged or cut short")
    names, ec_numbers = _names(lines.get("DE", ()))
    return Entry(
        accession=accession,
        names=names,
        ec_numbers=ec_numbers,
        genes=_genes(lines.get("GN", ())),
        organism=without_evidence(unwrapped(lines.get("OS", ()))).removesuffix("."),
        comments=tuple(_comments(lines.get("CC", ()))),
        go=tuple(_go(lines.get("DR", ()))),
        keywords=tuple(_keywords(unwrapped(lines.get("KW", ())))),
        sequence=sequence,
    )


def unwrapped(lines: Iterable[str]) -> str:
    """Lines as the one line that they were, by the rule of UniProt's own parser: a blank between
    two, but none after a hyphen that ends a word, unless "and" or "or" follows ("pre- and")."""
    text = ""
    for line in lines:
        line = line.strip()
        broken = text.endswith("-") and not text.endswith(" -")
        if not text or (broken and not line.startswith(("and ", "or "))):
            text += line
        else:
            text += " " + line
    return text


def _names(lines: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the whole protein; EC numbers, also of what it includes or is cleaved into."""
    names, ec_numbers, whole = {}, {}, True
    for line in lines:
        line = line.strip()
        if line in ("Includes:", "Contains:"):
            whole = False
        elif match := _NAME.fullmatch(line):
            kind, value = match[1], without_evidence(match[2])
            if kind == "EC":
                ec_numbers[value] = None
            elif whole:
                names[value] = None
    return tuple(names), tuple(ec_numbers)


def _genes(lines: Iterable[str]) -> tuple[str, ...]:
    """A line `and` stands between two genes."""
    genes: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == "and":
            genes.append([])
        else:
            genes[-1].append(line)
    found = []
    for gene in genes:
        if match := _GENE.search(without_evidence(unwrapped(gene))):
            found.append(match[1] or match[2])
    return tuple(filter(None, found))


def _keywords(text: str) -> list[str]:
    return [word for word in without_evidence(text).removesuffix(".").split("; ") if word]


def _go(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith("GO; "):
            aspect, _, term = line.split("; ")[2].partition(":")
            if aspect in ASPECTS:
                yield aspect, term


def _comments(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("-!- "):
            found.append([line[4:]])
        elif line.startswith("    ") and found:
            found[-1].append(line)
    for comment in found:
        topic, _, text = unwrapped(comment).partition(":")
        topic = topic.lower()
        if topic in TOPICS and (text := _text(topic, without_evidence(text))):
            yield topic, text


def _text(topic: str, text: str) -> str:
    molecule = match[0] if (match := _MOLECULE.match(text)) else ""
    if topic == "catalytic activity" and (reaction := _REACTION.search(text)):
        return prose(molecule + reaction[1])
    if topic == "cofactor" and (names := _COFACTOR.findall(text)):
        note = _NOTE.search(text)
        return prose(f"{molecule}{', '.join(names)}. {note[1] if note else ''}")
    return prose(text)
