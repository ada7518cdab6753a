"""STITCH: links of three kinds of tables, joined to chemicals and sequences by their ids."""

import gzip
import shutil

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import Property
from data_pipeline.sources import stitch
from data_pipeline.sources.tally import Tally

CHEMICALS = b"""\
chemical\tname\tmolecular_weight\tSMILES_string
CIDs00000001\tacetylcarnitine\t203.23558\tCC(=O)OC(CC(=O)[O-])C[N+](C)(C)C
CIDm00002244\taspirin\t180.157\tCC(=O)OC1=CC=CC=C1C(=O)O
CIDm00000009\tbroken\t1\tC1CC
CIDm00000010\tbl\xe4\t1\tC
"""
SEQUENCES = b"""\
>9606.ENSP00000257254 a description
MKVLA
AG
>9606.ENSP00000006777
MKV*A
"""
DETAILED = """\
chemical\tprotein\texperimental\tprediction\tdatabase\ttextmining\tcombined_score
CIDm00002244\t9606.ENSP00000257254\t900\t0\t700\t000\t976
CIDs00000001\t9606.ENSP00000257254\t0\t0\t0\t278\t278
CIDm00002244\t9606.ENSP00000006777\t0\t0\t0\t0\t900
CIDm00000009\t9606.ENSP00000257254\t0\t0\t0\t0\t900
CIDm00000010\t9606.ENSP00000257254\t0\t0\t0\t0\t900
CIDm00002244\t9606.ENSP00000000001\t0\t0\t0\t0\t900
CIDm00002244\t9606.ENSP00000257254\t0\tx\t0\t0\t900
CIDm00002244\t9606.ENSP00000257254\t0\t0\t0\t0\thigh
CIDm00002244\t9606.ENSP00000257254\t0\t0\t0
"""


@pytest.fixture
def tables(tmp_path) -> dict[str, str]:
    """Paths of the chemicals and the sequences, in a folder that nothing is written to."""
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "chemicals.v5.0.tsv.gz").write_bytes(gzip.compress(CHEMICALS))
    (folder / "protein.sequences.v10.fa.gz").write_bytes(gzip.compress(SEQUENCES))
    return {
        "chemicals": str(folder / "chemicals.v5.0.tsv.gz"),
        "sequences": str(folder / "protein.sequences.v10.fa.gz"),
        "indexes": str(tmp_path / "indexes"),
    }


def read(path, text: str, **options) -> tuple[list, Tally]:
    path.write_bytes(gzip.compress(text.encode()))
    tally = Tally()
    return list(sources.read("stitch", str(path), stitch.Options(**options), tally)), tally


def test_links_are_joined_and_scores_have_their_channels(tmp_path, tables):
    records, tally = read(tmp_path / "links.tsv.gz", DETAILED, **tables)
    first, unscored = records
    assert first.id == "CIDm00002244-9606.ENSP00000257254"
    protein, molecule = first.partners
    assert (molecule.id, molecule.name) == ("CIDm00002244", "aspirin")
    assert molecule.smiles == "CC(=O)Oc1ccccc1C(=O)O"
    assert (protein.id, protein.sequence) == ("9606.ENSP00000257254", "MKVLAAG")
    assert first.properties == (
        Property("STITCH combined score", 976),
        Property("STITCH experimental score", 900),
        Property("STITCH database score", 700),
    )
    assert unscored.properties == (Property("STITCH combined score", 900),)
    assert tally.lost == {"prediction: not a number": 1}
    assert tally.dropped == {
        "combined_score below 700": 1,
        "sequence with a stop (*)": 1,
        "SMILES does not parse": 1,
        "chemical is not in the table of chemicals, or not readable there": 1,
        "protein is not among the sequences, or not readable there": 1,
        "combined_score is not a number": 1,
        "not as many fields as the header has": 1,
    }
    assert (tally.records_in, tally.records_out) == (9, 2)


def test_the_short_and_the_long_table_are_read_alike(tmp_path, tables):
    short = "chemical\tprotein\tcombined_score\nCIDs00000001\t9606.ENSP00000257254\t150\n"
    [record], _ = read(tmp_path / "short.tsv.gz", short, min_score=150, **tables)
    assert record.properties == (Property("STITCH combined score", 150),)
    long = (
        "chemical\tprotein\texperimental_direct\texperimental_transferred\tprediction_direct\t"
        "prediction_transferred\tdatabase_direct\tdatabase_transferred\ttextmining_direct\t"
        "textmining_transferred\tcombined_score\n"
        "CIDs00000001\t9606.ENSP00000257254\t0\t1\t2\t0\t0\t0\t109\t214\t279\n"
    )
    [record], _ = read(tmp_path / "long.tsv.gz", long, min_score=279, **tables)
    assert record.properties == (
        Property("STITCH combined score", 279),
        Property("STITCH experimental score, transferred", 1),
        Property("STITCH prediction score, direct", 2),
        Property("STITCH textmining score, direct", 109),
        Property("STITCH textmining score, transferred", 214),
    )


def test_indexes_are_made_once_and_need_their_tables_no_more(tmp_path, tables):
    first, _ = read(tmp_path / "links.tsv.gz", DETAILED, **tables)
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "indexes").iterdir()}
    assert len(times) == 2
    again, _ = read(tmp_path / "links.tsv.gz", DETAILED, **tables)
    assert [r.id for r in again] == [r.id for r in first]
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "indexes").iterdir()} == times
    assert len(list((tmp_path / "tables").iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chemicals": None}, "give chemicals, the path of a file"),
        ({"sequences": None}, "give sequences, the path of a file"),
        ({"sequences": "/no/such/file.fa"}, "no/such/file.fa: No such file"),
    ],
)
def test_links_alone_are_refused(tmp_path, tables, options, message):
    with pytest.raises(BadInput, match=message):
        read(tmp_path / "links.tsv.gz", DETAILED, **tables | options)
    with pytest.raises(BadInput, match="min_score goes from 0 to 1000, not 1001"):
        stitch.Options(min_score=1001)


def test_a_damaged_table_of_chemicals_stops_the_build(tmp_path, tables):
    path = tmp_path / "cut.tsv.gz"
    shutil.copy(tables["chemicals"], path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match=r"cut\.tsv\.gz: damaged or truncated gzip"):
        read(tmp_path / "links.tsv.gz", DETAILED, **tables | {"chemicals": str(path)})
    assert list((tmp_path / "indexes").iterdir()) == []
