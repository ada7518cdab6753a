"""BindingDB: both layouts of its table, measurements and bounds, targets of several chains."""

import gzip

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import Property
from data_pipeline.sources import bindingdb
from data_pipeline.sources.bindingdb import CHAIN_NAME, CHAINS, ORGANISM, SEQUENCE
from data_pipeline.sources.tally import Tally

LIGAND_COLUMNS = [
    "BindingDB Reactant_set_id", "Ligand SMILES", "Ligand InChI", "Ligand InChI Key",
    "BindingDB MonomerID", "BindingDB Ligand Name", "Target Name", ORGANISM, "Ki (nM)",
    "IC50 (nM)", "Kd (nM)", "EC50 (nM)", "kon (M-1-s-1)", "koff (s-1)", "pH", "Temp (C)",
    "Curation/DataSource", "Article DOI", "BindingDB Entry DOI", "PMID", "PubChem AID",
    "Patent Number", "Authors", "Date of publication", "Date in BindingDB", "Institution",
    "Link to Ligand in BindingDB", "Link to Target in BindingDB",
    "Link to Ligand-Target Pair in BindingDB", "Ligand HET ID in PDB",
    "PDB ID(s) for Ligand-Target Complex", "PubChem CID", "PubChem SID", "ChEBI ID of Ligand",
    "ChEMBL ID of Ligand", "DrugBank ID of Ligand", "IUPHAR_GRAC ID of Ligand",
    "KEGG ID of Ligand", "ZINC ID of Ligand", CHAINS,
]  # fmt: skip
BLOCK = [
    SEQUENCE, "PDB ID(s) of Target Chain", CHAIN_NAME,
    *(f"UniProt (SwissProt) {what} of Target Chain"
      for what in ("Entry Name", "Primary ID", "Secondary ID(s)", "Alternative ID(s)")),
    *(f"UniProt (TrEMBL) {what} of Target Chain"
      for what in ("Submitted Name", "Entry Name", "Primary ID", "Secondary ID(s)",
                   "Alternative ID(s)")),
]  # fmt: skip
# The first row of BindingDB_All_202610.tsv (CC BY 3.0), links and lists of other ids left out.
ROW = {
    "BindingDB Reactant_set_id": "1",
    "Ligand SMILES": "O[C@@H]1[C@@H](O)[C@@H](Cc2ccccc2)N(CCCCCC(O)=O)C(=O)N(CCCCCC(O)=O)"
    "[C@@H]1Cc1ccccc1",
    "Ligand InChI Key": "XGEGDSLAQZJGCW-UHFFFAOYSA-N",
    "BindingDB MonomerID": "608734",
    "BindingDB Ligand Name": "6-[(4R,5S,6S,7R)-4,7-dibenzyl-3-(5-carboxypentyl)-5,6-dihydroxy-2-"
    "oxo-1,3-diazepan-1-yl]hexanoic acid::DMPC Cyclic Urea 1",
    "Target Name": "Dimer of Gag-Pol polyprotein [501-599]",
    ORGANISM: "Human immunodeficiency virus 1",
    "Ki (nM)": " 0.24",
    "pH": "5.5000",
    "Temp (C)": "37.00 C",
    "Curation/DataSource": "Curated from the literature by BindingDB",
}
GAG_POL = (
    "PQITLWQRPLVTIKIGGQLKEALLDTGADDTVLEEMSLPGRWKPKMIGGIGGFIKVRQYDQILIEICGHKAIGTVLVGPTPVNIIGRNLLTQIGC"
    "TLNF",
    "Gag-Pol polyprotein",
)


def numbered(count: int) -> list[str]:
    return [f"{name} {i + 1}" for i in range(count) for name in BLOCK]


def line(chains: list[tuple[str, str]], width: int | None = None, **fields) -> str:
    """A row with (sequence, name) of its chains, padded to `width` chains or not at all."""
    row = ROW | {CHAINS: str(len(chains))} | {k.replace("_", " "): v for k, v in fields.items()}
    blocks = [(sequence, "1W5Y", name, *[""] * 9) for sequence, name in chains]
    blocks += [("",) * 12] * ((width or len(chains)) - len(chains))
    return "\t".join([*(row.get(c, "") for c in LIGAND_COLUMNS), *(f for b in blocks for f in b)])


def read(path, text: str, header: list[str]) -> tuple[list, Tally]:
    path.write_text("\n".join(["\t".join(header), text]) + "\n")
    tally = Tally()
    records = list(sources.read("bindingdb", str(path), None, tally))
    assert tally.balanced
    return records, tally


def test_a_row_becomes_an_interaction(tmp_path):
    text = line([GAG_POL], width=50)
    [record], tally = read(tmp_path / "a.tsv", text, LIGAND_COLUMNS + numbered(50))
    assert record.id == "bindingdb:1"
    assert record.properties == (
        Property("Ki", 0.24, "nM"),
        Property("pH", 5.5),
        Property("temperature", 37.0, "°C"),
    )
    assert record.texts == {
        "Target": "Dimer of Gag-Pol polyprotein [501-599]",
        "Organism": "Human immunodeficiency virus 1",
    }
    target, ligand = record.partners
    assert (ligand.id, ligand.name[:10], ligand.name[-4:]) == ("BDBM608734", "6-[(4R,5S,", "acid")
    assert ligand.smiles == (
        "O=C(O)CCCCCN1C(=O)N(CCCCCC(=O)O)[C@H](Cc2ccccc2)[C@H](O)[C@@H](O)[C@H]1Cc1ccccc1"
    )
    assert (target.sequence, target.title, target.backbone) == (*GAG_POL, None)
    assert not tally.lost


def test_bounds_and_every_kind_of_measurement(tmp_path):
    row = dict(zip(LIGAND_COLUMNS, line([("MK", "")]).split("\t"), strict=False))
    row |= {
        "Ki (nM)": ">10000", "Kd (nM)": "<= 0.5", "IC50 (nM)": "~1.5E+3", "EC50 (nM)": ">1e999",
        "kon (M-1-s-1)": "2.1e5", "koff (s-1)": "about 3", "pH": "", "Temp (C)": "",
    }  # fmt: skip
    text = "\t".join([*(row[c] for c in LIGAND_COLUMNS), "MK", *[""] * 11])
    [record], tally = read(tmp_path / "a.tsv", text, LIGAND_COLUMNS + numbered(1))
    assert record.properties == (
        Property("Ki", 10000, "nM", ">"),
        Property("Kd", 0.5, "nM", "<"),
        Property("IC50", 1500.0, "nM", "~"),
        Property("kon", 2.1e5, "M^-1 s^-1"),
    )
    assert tally.lost == {"EC50 (nM): not a number": 1, "koff (s-1): not a number": 1}
    assert tally.first["koff (s-1): not a number"] == "bindingdb:1"


def test_the_former_layout_repeats_names_and_has_ragged_rows(tmp_path):
    """Rows are as long as their chains need, and may be longer than the header."""
    header = [c.replace(bindingdb.TARGET[0], bindingdb.TARGET[1]) for c in LIGAND_COLUMNS]
    block = [name.replace("Chain Sequence", "Chain  Sequence") for name in BLOCK]
    one, three = [("MK", "first")], [("MK", "first"), ("AC", ""), ("DE", "third")]
    records, _ = read(tmp_path / "a.tsv", f"{line(one)}\n{line(three)}", header + 2 * block)
    assert [[p.sequence for p in r.partners[:-1]] for r in records] == [["MK"], ["MK", "AC", "DE"]]
    assert [p.title for p in records[1].partners[:-1]] == ["first", "", "third"]
    assert records[0].partners[0].id == records[1].partners[0].id != records[1].partners[1].id
    assert records[0].texts["Target"].startswith("Dimer")


def test_sequences_wholly_in_lower_case_are_put_in_capitals_and_counted(tmp_path):
    [record], tally = read(tmp_path / "a.tsv", line([("mkvla", "")]), LIGAND_COLUMNS + numbered(1))
    assert record.partners[0].sequence == "MKVLA"
    assert tally.lost == {"sequence in lower case, put in capitals": 1}


@pytest.mark.parametrize(
    ("extension", "lost"),
    [
        (" |r,c:0|", {}),
        (" |r,THB:0:1:2.3:5.6|", {"extension of the SMILES that RDKit refuses": 1}),
        (" |TLB:10:9:6.7:20.15,THB:9:7:1:3.4|", {"extension of the SMILES that RDKit refuses": 1}),
    ],
)
def test_what_rdkit_refuses_behind_a_smiles_costs_only_itself(tmp_path, extension, lost):
    text = line([("MK", "")], Ligand_SMILES=f"C[C@H](N)C(=O)O{extension}")
    [record], tally = read(tmp_path / "a.tsv", text, LIGAND_COLUMNS + numbered(1))
    assert (record.partners[-1].smiles, tally.lost) == ("C[C@H](N)C(=O)O", lost)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (line([("MK", "")], Ligand_SMILES="C1CC"), "SMILES does not parse"),
        (line([("MK", "")], Ligand_SMILES="C1CC |THB:0:1:2.3:5.6|"), "SMILES does not parse"),
        (line([("MK", "")], Ligand_SMILES=""), "no atoms"),
        (line([("MkvLA", "")]), "sequence with lower-case letters"),
        (line([("MK-LA", "")]), "sequence with gaps"),
        (line([("MK", ""), ("", "")]), "a chain of the target has no sequence"),
        (line([]), "target without chains"),
        (line([("MK", "")]).replace("\t1\tMK", "\t7\tMK"), "a chain of the target has no sequence"),
        (line([("MK", "")]).replace(" 0.24", ""), "no measurement"),
        ("1\tCCO\t", "row is cut short or broken in two"),
        ("of the University, San Diego\tx\ty", "row is cut short or broken in two"),
    ],
)
def test_rows_that_give_no_interaction_are_counted(tmp_path, text, reason):
    good = line([("MK", "")])
    records, tally = read(tmp_path / "a.tsv", f"{text}\n{good}", LIGAND_COLUMNS + numbered(2))
    assert (len(records), tally.records_in, tally.dropped) == (1, 2, {reason: 1})


def test_bytes_that_are_no_utf8_cost_their_row(tmp_path):
    path = tmp_path / "a.tsv.gz"
    rows = ["\t".join(LIGAND_COLUMNS + numbered(1)), line([("MK", "")]), line([("MK", "")])]
    content = "\n".join(rows).encode().replace(b"Cyclic", b"C\xefclic", 1)
    path.write_bytes(gzip.compress(content))
    tally = Tally()
    assert len(list(sources.read("bindingdb", str(path), None, tally))) == 1
    assert (tally.dropped, tally.first) == ({"not UTF-8": 1}, {"not UTF-8": "a.tsv.gz:2"})
    path.write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(BadInput, match=r"a\.tsv\.gz: damaged or truncated gzip"):
        list(sources.read("bindingdb", str(path), None, Tally()))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (LIGAND_COLUMNS, "no column 'BindingDB Target Chain Sequence' after"),
        (["Ligand SMILES", *numbered(1)], "no column 'BindingDB Reactant_set_id'"),
    ],
)
def test_another_table_is_refused(tmp_path, header, message):
    with pytest.raises(BadInput, match=rf"a\.tsv: {message}"):
        read(tmp_path / "a.tsv", "x", header)
