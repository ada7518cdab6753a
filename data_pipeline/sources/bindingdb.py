"""BindingDB: measured affinities of small molecules and proteins.

From https://www.bindingdb.org/rwd/bind/chemsearch/marvin/Download.jsp: the archive
`BindingDB_All_<date>_tsv.zip`, to be unpacked, has a table of tab-separated fields, one measurement
a row; https://www.bindingdb.org/bind/chemsearch/marvin/BindingDB-TSV-Format.pdf describes its
columns. Licence: CC BY 3.0 for what BindingDB curated, CC BY-SA 3.0 for what it took from ChEMBL.

Read are the ligand's SMILES and names, the target's name and organism, affinities (nM), rates, pH
and temperature, and the sequence and recommended name of each of the target's chains. After the
number of chains comes a block of columns for each of them: until 2024 under the same names in every
block, with rows only as long as their chains need, be that longer than the header; since then
numbered, with rows as long as the header.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import split_rows
from data_pipeline.records import InteractionRecord, MoleculeRecord, ProteinRecord
from data_pipeline.sources.columns import Column, whole
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.interactions import each, protein
from data_pipeline.sources.measurements import properties
from data_pipeline.sources.molecules import NoMolecule, from_smiles
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

ID, LIGAND, MONOMER = "BindingDB Reactant_set_id", "Ligand SMILES", "BindingDB MonomerID"
LIGAND_NAMES = "BindingDB Ligand Name"
TARGET = ("Target Name", "Target Name Assigned by Curator or DataSource")  # now, and formerly
ORGANISM = "Target Source Organism According to Curator or DataSource"
CHAINS = "Number of Protein Chains in Target (>1 implies a multichain complex)"
SEQUENCE = "BindingDB Target Chain Sequence"
CHAIN_NAME = "UniProt (SwissProt) Recommended Name of Target Chain"

MEASURES = (
    Column("Ki (nM)", "Ki", "nM"),
    Column("Kd (nM)", "Kd", "nM"),
    Column("IC50 (nM)", "IC50", "nM"),
    Column("EC50 (nM)", "EC50", "nM"),
    Column("kon (M-1-s-1)", "kon", "M^-1 s^-1"),
    Column("koff (s-1)", "koff", "s^-1"),
)
CONDITIONS = (Column("pH", "pH"), Column("Temp (C)", "temperature", "°C"))

Options = Limited


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "bindingdb", (".tsv",))


def read(file: Path, options: Options, tally: Tally) -> Iterator[InteractionRecord]:
    """One record per row that has a measurement, a molecule and the sequence of every chain.

    A sequence that is lower case throughout is put in capitals, which is counted as lost.
    """
    header, rows = split_rows(file, (ID, LIGAND, MONOMER, CHAINS))
    layout = _Layout.of(header, file)
    entries = (
        (where, row if isinstance(row, BadInput) else _Row(row, layout)) for where, row in rows
    )
    return each(entries, options, tally, _id, _interaction)


@dataclass(frozen=True)
class _Layout:
    """Where columns are.

    Attributes:
      columns: by name, those before the chains' blocks.
      chains: where the first block begins; `block` columns each.
      offsets: by name without a number, within a block.
    """

    columns: dict[str, int]
    chains: int
    block: int
    offsets: dict[str, int]

    @classmethod
    def of(cls, header: Sequence[str], file: Path) -> "_Layout":
        chains = header.index(CHAINS) + 1
        names = [re.sub(r" \d+$", "", " ".join(name.split())) for name in header[chains:]]
        block = next((i for i, name in enumerate(names) if i and name == names[0]), len(names))
        offsets = {name: i for i, name in enumerate(names[:block])}
        if SEQUENCE not in offsets:
            raise BadInput(f"{file}: no column {SEQUENCE!r} after {CHAINS!r}")
        return cls({name: i for i, name in enumerate(header[:chains])}, chains, block, offsets)


@dataclass(frozen=True)
class _Row:
    fields: list[str]
    layout: _Layout

    def __getitem__(self, column: str) -> str:
        """The field of a column before the blocks; "" where the row or the file has none."""
        return self._field(self.layout.columns.get(column))

    def of_chain(self, chain: int, column: str) -> str:
        start = self.layout.chains + chain * self.layout.block
        offset = self.layout.offsets.get(column)
        return self._field(None if offset is None else start + offset)

    def _field(self, index: int | None) -> str:
        known = index is not None and index < len(self.fields)
        return self.fields[index].strip() if known else ""


def _id(row: _Row) -> str:
    return f"bindingdb:{row[ID]}" if row[ID] else ""


def _interaction(row: _Row, identifier: str) -> tuple[InteractionRecord, list[str]]:
    chains = whole(row[CHAINS])
    if chains is None or whole(row[ID]) is None:
        raise BadInput("row is cut short or broken in two")  # line ends within fields do that
    measures, lost = properties(row, MEASURES)
    if not measures:
        raise BadInput("no measurement")
    under = {column.key: row[column.key].removesuffix("C") for column in CONDITIONS}  # "37.00 C"
    conditions, also_lost = properties(under, CONDITIONS)
    ligand, unread = _ligand(row)
    proteins, changed = _chains(row, chains)
    target = next(filter(None, (row[column] for column in TARGET)), "")
    texts = {
        label: text for label, text in (("Target", target), ("Organism", row[ORGANISM])) if text
    }
    record = InteractionRecord(identifier, (*proteins, ligand), measures + conditions, texts)
    return record, lost + also_lost + unread + changed


def _ligand(row: _Row) -> tuple[MoleculeRecord, list[str]]:
    """The ligand, and what was lost of it.

    Of what ChemAxon writes behind a SMILES, RDKit does not know which side of a bicycle an atom is
    on (`|THB:9:7:1:3.4|`) and refuses it all; the SMILES has its other stereo itself.
    """
    smiles, identifier = row[LIGAND], f"BDBM{row[MONOMER]}"
    name = row[LIGAND_NAMES].split("::", 1)[0]
    try:
        return from_smiles(smiles, identifier, name), []
    except NoMolecule:
        bare, bar, _ = smiles.partition(" |")
        if not bar:
            raise
        return from_smiles(bare, identifier, name), ["extension of the SMILES that RDKit refuses"]


def _chains(row: _Row, count: int) -> tuple[list[ProteinRecord], list[str]]:
    """The target's chains, and what was changed of them."""
    proteins, changed = [], []
    for chain in range(count):
        sequence = row.of_chain(chain, SEQUENCE)
        if not sequence:
            raise BadInput("a chain of the target has no sequence")
        if sequence.islower():
            sequence = sequence.upper()
            changed.append("sequence in lower case, put in capitals")
        proteins.append(protein(sequence, row.of_chain(chain, CHAIN_NAME)))
    if not proteins:
        raise BadInput("target without chains")
    return proteins, changed
