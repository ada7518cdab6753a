"""The jglaser set of affinities: rows of a Parquet file."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import Property
from data_pipeline.sources import jglaser
from data_pipeline.sources.tally import Tally

ROWS = [  # seq, smiles, affinity_uM, neg_log10_affinity_M
    ("MKVLA", "OC(=O)[C@@H](N)C", 0.024, 7.619788758288394),
    ("mkvla", "CCO", 1.0, 6.0),
    ("MKVLA", "C1CC", 1.0, 6.0),
    ("MKVLA", None, 1.0, 6.0),
    (None, "CCO", 1.0, 6.0),
    ("MKVLA", "CCO", None, float("nan")),
    ("MKVLA", "C[C@H](N)C(=O)O", float("inf"), 0.0),
]


def write(path, columns=("seq", "smiles", "affinity_uM", "neg_log10_affinity_M")) -> str:
    values = dict(zip(columns, map(list, zip(*ROWS, strict=True)), strict=False))
    values["smiles_can"] = values["smiles"]
    values["affinity"] = [0.5] * len(ROWS)
    pq.write_table(pa.table(values), path)
    return str(path)


def test_rows_are_interactions_or_are_counted(tmp_path):
    tally = Tally()
    path = write(tmp_path / "all.parquet")
    first, last = sources.read("jglaser", path, None, tally)
    assert first.id == "jglaser:all.parquet:0"
    assert first.properties == (
        Property("binding affinity", 0.024, "µM"),
        Property("-log10(binding affinity in M)", 7.619788758288394),
    )
    target, ligand = first.partners
    assert (ligand.smiles, target.sequence) == ("C[C@H](N)C(=O)O", "MKVLA")
    assert [partner.id for partner in last.partners] == [target.id, ligand.id]
    assert ligand.mol.GetProp("_Name") == ligand.id != target.id
    assert last.properties == (Property("-log10(binding affinity in M)", 0.0),)
    assert tally.lost == {"affinity_uM: not a number": 1}
    assert tally.first["affinity_uM: not a number"] == "all.parquet:6"
    assert tally.dropped == {
        "sequence with lower-case letters": 1,
        "SMILES does not parse": 1,
        "no atoms": 1,
        "no sequence": 1,
        "no measurement": 1,
    }
    assert (tally.records_in, tally.records_out) == (7, 2)


def test_a_limit_is_of_rows_found(tmp_path):
    tally = Tally()
    path = write(tmp_path / "all.parquet")
    assert len(list(sources.read("jglaser", path, jglaser.Options(limit=6), tally))) == 1
    assert tally.records_in == 6


def test_another_file_is_refused(tmp_path):
    path = write(tmp_path / "b.parquet", columns=("seq", "smiles", "affinity_uM", "other"))
    with pytest.raises(BadInput, match=r"b\.parquet: no column 'neg_log10_affinity_M'"):
        list(sources.read("jglaser", path, None, Tally()))
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "b.parquet").read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"cut\.parquet: not readable as Parquet"):
        list(sources.read("jglaser", str(tmp_path / "cut.parquet"), None, Tally()))
