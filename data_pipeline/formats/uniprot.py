"""What an entry of UniProtKB says, in whichever of its formats it was read."""

import re
from dataclasses import dataclass

# The topics of comments that are prose or become prose, as the formats name them, in lower case.
# Left out: interaction, alternative products, mass spectrometry, RNA editing, sequence caution and
# web resource (online information), which are tables of identifiers, positions and addresses.
TOPICS = {
    "function": "Function",
    "catalytic activity": "Catalytic activity",
    "cofactor": "Cofactor",
    "activity regulation": "Activity regulation",
    "enzyme regulation": "Activity regulation",  # its name until 2018
    "biophysicochemical properties": "Biophysicochemical properties",
    "pathway": "Pathway",
    "subunit": "Subunit",
    "subcellular location": "Subcellular location",
    "tissue specificity": "Tissue specificity",
    "developmental stage": "Developmental stage",
    "induction": "Induction",
    "domain": "Domain",
    "ptm": "Post-translational modification",
    "polymorphism": "Polymorphism",
    "disease": "Disease",
    "disruption phenotype": "Disruption phenotype",
    "allergen": "Allergen",
    "toxic dose": "Toxic dose",
    "biotechnology": "Biotechnology",
    "pharmaceutical": "Pharmaceutical",
    "miscellaneous": "Miscellaneous",
    "similarity": "Similarity",
    "caution": "Caution",
}
ASPECTS = {
    "F": "GO molecular function",
    "P": "GO biological process",
    "C": "GO cellular component",
}


@dataclass(frozen=True)
class Entry:
    """An entry; every string without evidence.

    Attributes:
      accession: the primary one.
      names: the recommended name, or those that submitters gave; then short and alternative ones.
      ec_numbers: of the whole protein and of its parts.
      genes: of each, its name, or where it has none the locus or reading frame.
      organism: "Homo sapiens (Human)".
      comments: topic (a key of TOPICS) and text, in the order of the entry.
      go: aspect (a key of ASPECTS) and term.
    """

    accession: str
    names: tuple[str, ...]
    ec_numbers: tuple[str, ...]
    genes: tuple[str, ...]
    organism: str
    comments: tuple[tuple[str, str], ...]
    go: tuple[tuple[str, str], ...]
    keywords: tuple[str, ...]
    sequence: str


_EVIDENCE = re.compile(r" ?\{ECO:[^}]*\}")
_SOURCE = r"(?:PubMed:\d+|Ref\.\d+|DOI:[^\s,;)]+|By similarity|Probable|Potential)"
_SOURCES = re.compile(rf" ?\({_SOURCE}(?:[,;]? (?:and )?{_SOURCE})*\)")
_MIM = re.compile(r" ?\[MIM:\d+\]")
# Of "was seen. {ECO:...}." and "pH is 8. {ECO:...};" without evidence.
_STOPS = re.compile(r"(?<=[^.]\.)[.;](?= |$)|;$")


def without_evidence(text: str) -> str:
    """A value without its evidence: `{ECO:0000269|PubMed:123}` with the blank before it."""
    return _EVIDENCE.sub("", text).strip()


def prose(text: str) -> str:
    """A comment as one reads it.

    Left out are evidence; parentheses of nothing but references (PubMed, DOI, Ref.) and qualifiers
    (By similarity, Probable, Potential); MIM numbers; and the mark `Note=`. What stays is as it
    was, and ends with one full stop.
    """
    text = _MIM.sub("", _SOURCES.sub("", _EVIDENCE.sub("", text)))
    text = " ".join(text.replace("Note=", "").split())
    text = _STOPS.sub("", text)
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
