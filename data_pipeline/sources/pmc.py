"""PubMed Central, open-access subset: full text of articles, in JATS.

The bulk packages `oa_comm_xml.PMC000xxxxxx.baseline.2025-06-26.tar.gz` (and `oa_noncomm`,
`oa_other`), packages of single articles with an `.nxml`, or plain files, such as
`PMC176545.1.xml` of the bucket `pmc-oa-opendata`. https://pmc.ncbi.nlm.nih.gov/tools/openftlist/
Licences are those of the articles: take the packages whose use suits. What is read is in
`sources.jats`.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

from biomatrix_jax.errors import BadInput
from data_pipeline.records import TextRecord
from data_pipeline.sources import jats
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "pmc", (".xml", ".nxml", ".tar", ".tgz"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[TextRecord]:
    """One record per article with a body, called by its PMC number (`PMC176545`)."""
    found = jats.articles(file, (".xml", ".nxml"))
    return records(options.first(found), partial(_record, tally=tally), tally)


def _record(where: str, article: Element, tally: Tally) -> TextRecord:
    number = jats.article_id(article, "pmcid", "pmc").removeprefix("PMC")
    if not number:
        raise BadInput("no PMC number")
    identifier = f"PMC{number}"
    return jats.record(
        identifier, article, lambda: tally.lose("formula that is a picture", identifier)
    )
