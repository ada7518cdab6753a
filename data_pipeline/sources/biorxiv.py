"""bioRxiv preprints: full text from its text-mining access, or abstracts from its API.

- Full text: the packages (`.meca`, a zip file each) of the bucket `biorxiv-src-monthly`, in which
  `content/*.xml` is the preprint in JATS, or such files by themselves; what is read of them is in
  `sources.jats`. https://www.biorxiv.org/tdm
- Abstracts: JSON Lines with doi, title and abstract (and version), as `api.biorxiv.org/details`
  gives preprints and as tools that walk through it write them. https://api.biorxiv.org

Licences are chosen by the authors of each preprint; the access is for text mining.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import json_objects
from data_pipeline.records import TextRecord
from data_pipeline.sources import jats
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "biorxiv", (".meca", ".zip", ".xml", ".jsonl"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[TextRecord]:
    """One record per preprint, called by its DOI and its version if known: `10.1101/486050v2`."""
    if ".jsonl" in file.suffixes:
        return records(options.first(json_objects(file)), _abstract, tally)
    found = jats.articles(file, (".xml",), folder="content/")
    return records(options.first(found), partial(_full_text, tally=tally), tally)


def _full_text(where: str, article: Element, tally: Tally) -> TextRecord:
    doi = jats.article_id(article, "doi")
    if not doi:
        raise BadInput("no DOI")
    # `1.4` is the fourth version
    version = article.findtext("front/article-meta/article-version", "").strip()
    identifier = _identifier(doi, version.rpartition(".")[2])
    return jats.record(
        identifier, article, lambda: tally.lose("formula that is a picture", identifier)
    )


def _abstract(where: str, entry: dict) -> TextRecord:
    doi, title, abstract = (entry.get(key) or "" for key in ("doi", "title", "abstract"))
    if not all(isinstance(value, str) for value in (doi, title, abstract)):
        raise BadInput("doi, title or abstract is not a string")
    if not doi:
        raise BadInput("no DOI")
    if not abstract.strip():
        raise BadInput("no abstract")
    return TextRecord(_identifier(doi, str(entry.get("version") or "")), title, abstract)


def _identifier(doi: str, version: str) -> str:
    return f"{doi}v{version}" if version.isdigit() else doi
