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
    "BindingDB MonomerID", "BindingDB Ligand Name", "Target Name", ORGANISM, "Ki (nM)", "IC50 (nM)",
    "Kd (nM)", "EC50 (nM)", "kon (M-1-s-1)", "koff (s-1)", "pH", "Temp (C)", "PMID", CHAINS,
]  # fmt: skip
BLOCK = [SEQUENCE, "PDB ID(s) of Target Chain", CHAIN_NAME]
ROW = {
    "BindingDB Reactant_set_id": "199",
    "Ligand SMILES": "OC(=O)[C@@H](N)C",
    "BindingDB MonomerID": "219",
    "BindingDB Ligand Name": "Alanine::CHEMBL1::a third name",
    "Target Name": "Caspase-1",
    ORGANISM: "Homo sapiens",
    "Ki (nM)": " 90",
    "pH": "7.4",
    "Temp (C)": "25.00 C",
}


def numbered(count: int) -> list[str]:
    return [f"{name} {i + 1}" for i in range(count) for name in BLOCK]


def line(chains: list[tuple[str, str]], width: int | None = None, **fields) -> str:
    """A row with (sequence, name) of its chains, padded to `width` chains or not at all."""
    row = ROW | {CHAINS: str(len(chains))} | {k.replace("_", " "): v for k, v in fields.items()}
    blocks = [(sequence, "1ABC", name) for sequence, name in chains]
    blocks += [("", "", "")] * ((width or len(chains)) - len(chains))
    return "\t".join([*(row.get(c, "") for c in LIGAND_COLUMNS), *(f for b in blocks for f in b)])


def read(path, text: str, header: list[str]) -> tuple[list, Tally]:
    path.write_text("\n".join(["\t".join(header), text]) + "\n")
    tally = Tally()
    records = list(sources.read("bindingdb", str(path), None, tally))
    assert tally.balanced
    return records, tally


def test_a_row_becomes_an_interaction(tmp_path):
    text = line([("MKVLA", "Caspase 1")], width=2)
    [record], tally = read(tmp_path / "a.tsv", text, LIGAND_COLUMNS + numbered(2))
    assert record.id == "bindingdb:199"
    assert record.properties == (
        Property("Ki", 90, "nM"),
        Property("pH", 7.4),
        Property("temperature", 25.0, "°C"),
    )
    assert isinstance(record.properties[0].value, int)
    assert record.texts == {"Target": "Caspase-1", "Organism": "Homo sapiens"}
    ligand, target = record.partners
    assert (ligand.id, ligand.smiles, ligand.name) == ("BDBM219", "C[C@H](N)C(=O)O", "Alanine")
    assert (target.sequence, target.title, target.backbone) == ("MKVLA", "Caspase 1", None)
    assert not tally.lost


def test_bounds_and_every_kind_of_measurement(tmp_path):
    row = dict(zip(LIGAND_COLUMNS, line([("MK", "")]).split("\t"), strict=False))
    row |= {
        "Ki (nM)": ">10000", "Kd (nM)": "<= 0.5", "IC50 (nM)": "~1.5E+3", "EC50 (nM)": ">1e999",
        "kon (M-1-s-1)": "2.1e5", "koff (s-1)": "about 3", "pH": "", "Temp (C)": "",
    }  # fmt: skip
    text = "\t".join([*(row[c] for c in LIGAND_COLUMNS), "MK", "", ""])
    [record], tally = read(tmp_path / "a.tsv", text, LIGAND_COLUMNS + numbered(1))
    assert record.properties == (
        Property("Ki", 10000, "nM", ">"),
        Property("Kd", 0.5, "nM", "<"),
        Property("IC50", 1500.0, "nM", "~"),
        Property("kon", 2.1e5, "M^-1 s^-1"),
    )
    assert tally.lost == {"EC50 (nM): not a number": 1, "koff (s-1): not a number": 1}
    assert tally.first["koff (s-1): not a number"] == "bindingdb:199"


def test_the_former_layout_repeats_names_and_has_ragged_rows(tmp_path):
    """Rows are as long as their chains need, and may be longer than the header."""
    header = [c.replace(bindingdb.TARGET[0], bindingdb.TARGET[1]) for c in LIGAND_COLUMNS]
    block = [name.replace("Chain Sequence", "Chain  Sequence") for name in BLOCK]
    one, three = [("MK", "first")], [("MK", "first"), ("AC", ""), ("DE", "third")]
    records, _ = read(tmp_path / "a.tsv", f"{line(one)}\n{line(three)}", header + 2 * block)
    assert [[p.sequence for p in r.partners[1:]] for r in records] == [["MK"], ["MK", "AC", "DE"]]
    assert [p.title for p in records[1].partners[1:]] == ["first", "", "third"]
    assert records[0].partners[1].id == records[1].partners[1].id != records[1].partners[2].id
    assert records[0].texts["Target"] == "Caspase-1"


def test_sequences_wholly_in_lower_case_are_put_in_capitals_and_counted(tmp_path):
    [record], tally = read(tmp_path / "a.tsv", line([("mkvla", "")]), LIGAND_COLUMNS + numbered(1))
    assert record.partners[1].sequence == "MKVLA"
    assert tally.lost == {"sequence in lower case, put in capitals": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (line([("MK", "")], Ligand_SMILES="C1CC"), "SMILES does not parse"),
        (line([("MK", "")], Ligand_SMILES=""), "no atoms"),
        (line([("MkvLA", "")]), "sequence with lower-case letters"),
        (line([("MK-LA", "")]), "sequence with gaps"),
        (line([("MK", ""), ("", "")]), "a chain of the target has no sequence"),
        (line([]), "target without chains"),
        (line([("MK", "")]).replace("\t1\tMK", "\t7\tMK"), "a chain of the target has no sequence"),
        (line([("MK", "")]).replace("\t 90\t", "\t\t"), "no measurement"),
        ("199\tCCO\t", "row is cut short or broken in two"),
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
    content = "\n".join(rows).encode().replace(b"Alanine", b"Alan\xefne", 1)
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
