"""UniProtKB's FASTA: of an entry the sequence, and in the header its name, organism and gene.

By https://www.uniprot.org/help/fasta-headers:

  >sp|Q8AWH3|SX17A_XENTR Transcription factor Sox-17-alpha OS=Xenopus tropicalis OX=8364 GN=sox17a
  PE=2 SV=1

(one line). Older releases have no OX, and programs may add fields of theirs at the end.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import fasta
from data_pipeline.formats.uniprot import Entry

_HEADER = re.compile(
    r"(?:sp|tr)\|(?P<accession>[^|\s]+)\|\S+ +(?P<name>.*?)(?P<fields>(?: OS=.*)?)"
)
# A value ends where the next field begins; an organism may have blanks and brackets.
_FIELD = re.compile(r" ([A-Za-z]+)=(.*?)(?= [A-Za-z]+=|$)")
# The other formats say it in a flag, not in the name.
_FRAGMENT = re.compile(r" \(Fragments?\)$")


def entries(path: str | Path) -> Iterator[tuple[str, Entry | BadInput]]:
    """Each entry, called by its accession, or the first word of a header that is not as above."""
    for where, entry in fasta.entries(path):
        if isinstance(entry, BadInput):
            yield where, entry
            continue
        parsed = _entry(where, *entry)
        yield parsed.accession, parsed


def _entry(where: str, header: str, sequence: str) -> Entry:
    described = _HEADER.fullmatch(header)
    if not described:
        return Entry(where, (), (), (), "", (), (), (), sequence)
    fields = dict(_FIELD.findall(described["fields"]))
    name = _FRAGMENT.sub("", described["name"].strip())
    return Entry(
        accession=described["accession"],
        names=(name,) if name else (),
        ec_numbers=(),
        genes=(fields["GN"],) if fields.get("GN") else (),
        organism=fields.get("OS", ""),
        comments=(),
        go=(),
        keywords=(),
        sequence=sequence,
    )
