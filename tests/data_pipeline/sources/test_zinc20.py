"""ZINC20, on constructed tranches with each of its headers."""

import gzip

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import Property
from data_pipeline.sources.tally import Tally

COLUMNS = (
    "smiles",
    "zinc_id",
    "inchikey",
    "mwt",
    "logp",
    "reactive",
    "purchasable",
    "tranche_name",
)
ALANINE = "C[C@H](N)C(=O)O"


def read(path):
    tally = Tally()
    return list(sources.read("zinc20", str(path), None, tally)), tally


def text(*rows: tuple) -> str:
    return "".join("\t".join(row) + "\n" for row in (COLUMNS, *rows))


@pytest.mark.parametrize(
    "content",
    [
        "smiles zinc_id\nOC(=O)[C@@H](N)C ZINC000004658553\nN#N ZINC000008221119\n",
        "SMILES ZINC_ID\r\nOC(=O)[C@@H](N)C  ZINC000004658553\r\nN#N ZINC000008221119\r\n",
        "OC(=O)[C@@H](N)C ZINC000004658553\nN#N ZINC000008221119",
        "OC(=O)[C@@H](N)C\tZINC000004658553\nN#N\tZINC000008221119\n",
        "zinc_id\tsmiles\nZINC000004658553\tOC(=O)[C@@H](N)C\nZINC000008221119\tN#N\n",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_smi_with_a_header_or_without(tmp_path, content, packed):
    path = tmp_path / ("AAAA.smi.gz" if packed else "AAAA.smi")
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    records, tally = read(path)
    assert [(record.id, record.smiles) for record in records] == [
        ("zinc:ZINC000004658553", ALANINE),
        ("zinc:ZINC000008221119", "N#N"),
    ]
    assert tally.records_in == 2
    assert [record.properties for record in records] == [(), ()]
    assert records[0].mol.GetNumConformers() == 0


def test_txt_gives_weight_and_logp(tmp_path):
    row = ("CCO", "ZINC1", "LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "46.069", "-0.001", "0", "50", "AAAA")
    bad = ("CO", "ZINC2", "", "heavy", "")
    (tmp_path / "AAAA.txt").write_text(text(row, bad))
    records, tally = read(tmp_path)
    assert records[0].properties == (
        Property("Molecular weight", 46.069, "g/mol"),
        Property("LogP", -0.001),
    )
    assert records[1].properties == ()
    assert tally.lost == {"mwt: not a number": 1}
    assert tally.first == {"mwt: not a number": "zinc:ZINC2"}


def test_bad_lines_are_counted(tmp_path):
    content = b"smiles zinc_id\nC1CC ZINC1\n\n\xff ZINC2\nCC\n" + b"C" * 200_000 + b"( ZINC3\n"
    (tmp_path / "a.smi").write_bytes(content)
    (tmp_path / "b.txt").write_text(text(("", "ZINC4"), ("CN", "ZINC5")))
    (tmp_path / "c.txt").write_text("zinc_id\tsmiles\nZINC6\nZINC7\tCO\n")
    (tmp_path / "notes.md").write_text("no tranche")
    records, tally = read(tmp_path)
    assert [record.id for record in records] == ["zinc:a.smi:5", "zinc:ZINC5", "zinc:ZINC7"]
    assert tally.dropped == {
        "SMILES does not parse": 1,
        "SMILES of more than 10,000 characters": 1,
        "not UTF-8": 1,
        "no atoms": 2,
    }
    assert tally.first["SMILES does not parse"] == "a.smi:2"
    assert tally.records_in == 8
    assert tally.balanced


def test_a_tranche_cut_in_its_gzip_stops_with_one_line(tmp_path):
    path = tmp_path / "AAAA.smi.gz"
    path.write_bytes(gzip.compress(b"smiles zinc_id\nCC ZINC1\n")[:-9])
    with pytest.raises(BadInput, match=r"AAAA\.smi\.gz: damaged or truncated gzip") as error:
        read(path)
    assert "\n" not in str(error.value)
