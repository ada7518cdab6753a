"""PubChem Compound: molecules with names and computed properties, flat or with a conformer.

https://ftp.ncbi.nlm.nih.gov/pubchem/ has `Compound/CURRENT-Full/SDF`, files of 500,000 CIDs such as
`Compound_000000001_000500000.sdf.gz` whose entries are drawn flat, and `Compound_3D` with the same
compounds as conformers (`01_conf_per_cmpd/SDF`, others with up to ten for each), gzipped SDF, too.
The data fields are described in `specifications/pubchem_sdtags.txt` there. The tables of
`Compound/Extras` (README-Extras) have lines `CID<tab>value`, sorted by CID. PubChem has no table of
its descriptions: collect them (PUG REST, `/description`) into one of that form.

A flat entry's molecule is its SMILES; the drawing has stereo and bonds of its own conventions. That
of a conformer is the molfile, with the stereo of its coordinates. NCBI places no restriction on use
or distribution; contributors of single records may.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from biomatrix_jax.errors import BadInput
from data_pipeline.formats.lines import decoded
from data_pipeline.formats.sdf import SdfEntry, sdf_entries
from data_pipeline.records import MoleculeRecord, Property
from data_pipeline.sources.cid_tables import CidTable
from data_pipeline.sources.columns import Column, numbers, whole
from data_pipeline.sources.inputs import corpus_files
from data_pipeline.sources.molecules import from_conformer, from_smiles, parse_molfile
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

CID = "PUBCHEM_COMPOUND_CID"
CONFORMER = "PUBCHEM_CONFORMER_ID"  # only entries with a conformer have it
SMILES = ("PUBCHEM_SMILES", "PUBCHEM_OPENEYE_ISO_SMILES")  # since 2025, and before
FORMULA = "PUBCHEM_MOLECULAR_FORMULA"
IUPAC = "PUBCHEM_IUPAC_NAME"
COLUMNS = (
    Column("PUBCHEM_MOLECULAR_WEIGHT", "Molecular weight", "g/mol", decimals=2),
    Column("PUBCHEM_EXACT_MASS", "Exact mass", "Da", decimals=4),
    Column("PUBCHEM_MONOISOTOPIC_WEIGHT", "Monoisotopic mass", "Da", decimals=4),
    Column("PUBCHEM_XLOGP3", "XLogP3"),
    Column("PUBCHEM_XLOGP3_AA", "XLogP3"),  # an entry has it or the one above
    Column("PUBCHEM_CACTVS_TPSA", "Topological polar surface area", "Å²"),
    Column("PUBCHEM_CACTVS_COMPLEXITY", "Complexity"),
    Column("PUBCHEM_CACTVS_HBOND_DONOR", "Hydrogen bond donors", kind=int),
    Column("PUBCHEM_CACTVS_HBOND_ACCEPTOR", "Hydrogen bond acceptors", kind=int),
    Column("PUBCHEM_CACTVS_ROTATABLE_BOND", "Rotatable bonds", kind=int),
    Column("PUBCHEM_HEAVY_ATOM_COUNT", "Heavy atoms", kind=int),
    Column("PUBCHEM_TOTAL_CHARGE", "Formal charge", kind=int),
    Column("PUBCHEM_MMFF94_ENERGY", "MMFF94 energy", "kcal/mol"),
)


@dataclass(frozen=True)
class Options(Limited):
    """What to join to the entries, and how much of it.

    Attributes:
      titles: path of CID-Title.gz, for the records' names; without it they have none.
      iupac_names: of CID-IUPAC.gz; flat entries have the name themselves, conformers do not.
      synonyms: of CID-Synonym-filtered.gz.
      max_synonyms: for a record; the table has the best ones first.
      descriptions: of a table `CID<tab>description`, sorted by CID.
    """

    titles: str | None = None
    iupac_names: str | None = None
    synonyms: str | None = None
    max_synonyms: int = 5
    descriptions: str | None = None

    beside: ClassVar[tuple[str, ...]] = ("titles", "iupac_names", "synonyms", "descriptions")

    def __post_init__(self):
        super().__post_init__()
        if self.max_synonyms < 1:
            raise BadInput(f"max_synonyms must be at least 1, not {self.max_synonyms}")


def inputs(path: str | None, options: Options) -> list[Path]:
    return corpus_files(path, "pubchem", (".sdf",))


def read(file: Path, options: Options, tally: Tally) -> Iterator[MoleculeRecord]:
    """One record per entry, called `pubchem:CID`, or `pubchem:CID/CONFORMER` with a conformer.

    Every file is joined to the tables from their start, so its entries must ascend by CID.
    """
    with ExitStack() as stack:
        tables = {
            label: stack.enter_context(closing(CidTable(path)))
            for label, path in (
                ("Title", options.titles),
                ("IUPAC name", options.iupac_names),
                ("Synonyms", options.synonyms),
                ("Description", options.descriptions),
            )
            if path
        }
        for where, entry in options.first(sdf_entries(file)):
            tally.begin()
            try:
                cid, record = _molecule(entry)
            except BadInput as error:
                tally.drop(str(error), where)
                continue
            joined = {
                label: _text(label, table.values(cid), options, tally, record.id)
                for label, table in tables.items()
            }
            tally.keep()
            yield _told(record, entry.fields, joined, tally)


def _molecule(entry: SdfEntry | BadInput) -> tuple[int, MoleculeRecord]:
    if isinstance(entry, BadInput):
        raise entry
    fields = entry.fields
    cid = whole(fields.get(CID, ""))
    if cid is None:
        raise BadInput(f"no {CID}")
    if CONFORMER in fields:
        mol = parse_molfile(entry.molfile)
        return cid, from_conformer(mol, f"pubchem:{cid}/{fields[CONFORMER]}")
    smiles = next((fields[tag] for tag in SMILES if tag in fields), None)
    if smiles is None:
        raise BadInput("no SMILES")
    return cid, from_smiles(smiles, f"pubchem:{cid}")


def _text(
    label: str, values: tuple[bytes, ...], options: Options, tally: Tally, identifier: str
) -> str:
    if label == "Synonyms":
        values = values[: options.max_synonyms]
    try:
        return ("; " if label == "Synonyms" else "\n").join(decoded(value) for value in values)
    except BadInput as error:
        tally.lose(f"{label}: {error}", identifier)
        return ""


def _told(
    record: MoleculeRecord, fields: dict[str, str], joined: dict[str, str], tally: Tally
) -> MoleculeRecord:
    """The record with what its fields and the tables say."""
    name = joined.pop("Title", "")
    texts = [("IUPAC name", fields.get(IUPAC, "")), *joined.items()]
    formula = [Property("Molecular formula", fields[FORMULA])] if FORMULA in fields else []
    return replace(
        record,
        name=name,
        texts={label: text for label, text in texts if text},
        properties=(*formula, *numbers(fields, COLUMNS, tally, record.id)),
    )
