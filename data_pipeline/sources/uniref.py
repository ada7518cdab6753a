"""UniRef: the representative sequences of clusters of UniProt, one for each cluster.

From https://www.uniprot.org/help/downloads, `uniref50.fasta.gz` (UniRef90 and UniRef100 are written
alike), licence CC BY 4.0. The header, by https://www.uniprot.org/help/fasta-headers:

  >UniRef50_Q8WZ42 Titin n=2871 Tax=Vertebrata TaxID=7742 RepID=TITIN_HUMAN

`n` counts the cluster's members and `Tax` is the lowest taxon that they share. The sequence, the
cluster's name (which is a protein's) and that taxon are read.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.formats import fasta
from data_pipeline.records import ProteinRecord
from data_pipeline.sources.entries import records
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.options import Limited
from data_pipeline.sources.sequences import checked
from data_pipeline.sources.tally import Tally

Options = Limited

# The name is greedy: one may have " n=" in it, and the last is the count.
_HEADER = re.compile(r"(?P<name>.*) n=\d+ Tax=(?P<taxon>.*?)(?: TaxID=\d+)?(?: RepID=\S+)?")


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "uniref", (".fasta", ".fa"))


def read(file: Path, options: Options, tally: Tally) -> Iterator[ProteinRecord]:
    """One record per entry, called as the cluster.

    A header without name and taxon as above is lost, not the sequence.
    """

    def record(cluster: str, entry: fasta.Entry) -> ProteinRecord:
        header, sequence = entry
        sequence = checked(sequence)
        described = _HEADER.fullmatch(header.partition(" ")[2].strip())
        if not described:
            tally.lose("header: not as UniRef writes it", cluster)
            return ProteinRecord(cluster, "", sequence, None, "")
        texts = {"Common taxon": described["taxon"]} if described["taxon"] else {}
        return ProteinRecord(cluster, "", sequence, None, described["name"].strip(), texts)

    yield from records(options.first(fasta.entries(file)), record, tally)
