"""AlphaSeq: antibodies against labelled targets, and libraries with the sequences of both."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import Property
from data_pipeline.sources import alphaseq
from data_pipeline.sources.tally import Tally

NOTICE = "DISTRIBUTION STATEMENT A. Approved for public release.\n\n\xa9 2023\n"
LABELLED = """\
POI,Sequence,Target,Assay,Replicate,Pred_affinity,HC,LC,CDRH1,CDRH2,CDRH3,CDRL1,CDRL2,CDRL3
AAYL49_1,EVQLV,MIT_Target,1,1,-1.43,EVQ,LV,,,,,,
AAYL49_1,EVQLV,MIT_Target,1,2,,EVQ,LV,,,,,,
AAYL49_1,EVQLV,Neg_Ctrl_1,1,1,7.35,EVQ,LV,,,,,,
AAYL49_2,EVqLV,MIT_Target,1,1,3.0,EVQ,LV,,,,,,
AAYL49_3,EVQLV,MIT_Target,1,1,3.0
AAYL49_4,EVQLV,MIT_Target,2,3,2,EVQ,LV,,,,,,
"""


def read(path, **options) -> tuple[list, Tally]:
    tally = Tally()
    return list(sources.read("alphaseq", str(path), alphaseq.Options(**options), tally)), tally


@pytest.fixture
def targets(tmp_path) -> str:
    (tmp_path / "targets.fasta").write_text(">MIT_Target\nPDVDL\nGDI\n")
    return str(tmp_path / "targets.fasta")


@pytest.mark.parametrize("notice", ["", NOTICE])
def test_labelled_targets_get_their_sequences(tmp_path, targets, notice):
    path = tmp_path / "dataset.csv"
    path.write_bytes((notice + LABELLED).encode("latin-1"))
    (first, last), tally = read(path, targets=targets)
    assert first.id == "dataset:AAYL49_1:MIT_Target:1:1"
    assert first.properties == (Property("log10(Kd in nM)", -1.43),)
    binder, target = first.partners
    assert (binder.sequence, target.sequence, target.title) == ("EVQLV", "PDVDLGDI", "MIT_Target")
    assert last.id == "dataset:AAYL49_4:MIT_Target:2:3"
    assert [p.id for p in last.partners] == [binder.id, target.id]
    assert tally.dropped == {
        "no measurement": 1,
        "target has no sequence": 1,
        "sequence with lower-case letters": 1,
        "not as many fields as the header has": 1,
    }
    assert (tally.records_in, tally.records_out) == (6, 2)


def test_labelled_targets_without_sequences_are_refused(tmp_path, targets):
    path = tmp_path / "dataset.csv"
    path.write_text(LABELLED)
    with pytest.raises(BadInput, match=r"dataset\.csv: has only the names of targets: give target"):
        read(path)
    (tmp_path / "bad.fasta").write_text(">MIT_Target\nPD*DL\n")
    with pytest.raises(BadInput, match=r"bad\.fasta: MIT_Target: sequence with a stop"):
        read(path, targets=str(tmp_path / "bad.fasta"))
    path.write_text("POI,Sequence\nx,EVQ\n")
    with pytest.raises(BadInput, match=r"dataset\.csv: no column 'Pred_affinity' and no column"):
        read(path, targets=targets)


OPEN = {
    "mata_description": ["wt_1", "v2", "v3", "v4"],
    "mata_sequence": ["QVQLQ", "QVQLE", None, "QVQLK"],
    "matalpha_description": ["TIGIT_Human"] * 4,
    "matalpha_sequence": ["MMTGT", "MMTGT", "MMTGT", None],
    "alphaseq_affinity": [0.5, None, 1.0, 2.0],
    "affinity_lower_bound": [0.1, None, 0.5, 1.0],
}


def test_open_alphaseq_has_both_sequences(tmp_path):
    folder = tmp_path / "YM_0693"
    folder.mkdir()
    pq.write_table(pa.table(OPEN), folder / "data.parquet")
    [record], tally = read(folder / "data.parquet")
    assert record.id == "alphaseq:YM_0693/data.parquet:0"
    assert record.properties == (Property("log10(Kd in nM)", 0.5),)
    assert [p.sequence for p in record.partners] == ["QVQLQ", "MMTGT"]
    assert record.partners[1].title == "TIGIT_Human"
    assert tally.dropped == {"no measurement": 1, "no sequence": 1, "target has no sequence": 1}
    rows = zip(*(["" if v is None else v for v in column] for column in OPEN.values()), strict=True)
    text = "\n".join([",".join(OPEN), *(",".join(map(str, row)) for row in rows)])
    (folder / "YM_693.csv").write_text(text + "\n")
    [same], counted = read(folder / "YM_693.csv")
    assert same.id == "alphaseq:YM_0693/YM_693.csv:2"
    assert [p.id for p in same.partners] == [p.id for p in record.partners]
    assert (same.properties, counted.dropped) == (record.properties, tally.dropped)
