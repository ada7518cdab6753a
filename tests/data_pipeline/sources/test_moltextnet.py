"""MolTextNet, on constructed files with its columns."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.sources.options import Limited
from data_pipeline.sources.tally import Tally

ROWS = [
    {"canonical_smiles": "OC(=O)[C@@H](N)C", "description": " An amino acid,\nin two lines. "},
    {"canonical_smiles": "C1CC", "description": "A ring left open."},
    {"canonical_smiles": "CC", "description": None},
    {"canonical_smiles": None, "description": "Of nothing."},
    {"canonical_smiles": "", "description": "Of no atoms."},
    {"canonical_smiles": "N", "description": "Long. " * 2_000_000},
]


def read(path, limit=None):
    tally = Tally()
    return list(sources.read("moltextnet", str(path), Limited(limit), tally)), tally


@pytest.fixture(params=["parquet", "jsonl"])
def path(request, tmp_path):
    path = tmp_path / f"train-00000-of-00002.{request.param}"
    if request.param == "parquet":
        table = pa.Table.from_pylist([{"index": n, **row} for n, row in enumerate(ROWS)])
        pq.write_table(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_rows_give_molecules_and_descriptions(path):
    records, tally = read(path)
    first = 0 if path.suffix == ".parquet" else 1
    places = [f"{path.name}:{number + first}" for number in range(len(ROWS))]
    assert [(record.id, record.smiles, record.name) for record in records] == [
        (f"moltextnet:{places[0]}", "C[C@H](N)C(=O)O", ""),
        (f"moltextnet:{places[2]}", "CC", ""),
        (f"moltextnet:{places[5]}", "N", ""),
    ]
    assert records[0].texts == {"Description": "An amino acid,\nin two lines."}
    assert records[1].texts == {}
    assert len(records[2].texts["Description"]) == 6 * 2_000_000 - 1
    assert tally.dropped == {
        "SMILES does not parse": 1,
        "canonical_smiles or description is not a string": 1,
        "no atoms": 1,
    }
    assert tally.lost == {"empty description": 1}
    assert (tally.records_in, tally.records_out) == (6, 3)
    assert tally.first["no atoms"] == places[4]


def test_a_limit_counts_rows(path):
    records, tally = read(path, limit=2)
    assert (len(records), tally.records_in) == (1, 2)


def test_other_columns_are_refused(tmp_path):
    path = tmp_path / "other.parquet"
    pq.write_table(pa.Table.from_pylist([{"smiles": "C", "description": "?"}]), path)
    with pytest.raises(BadInput, match="no column 'canonical_smiles'; it has: smiles"):
        read(path)


def test_damage(tmp_path):
    path = tmp_path / "bad.jsonl"
    good = json.dumps(ROWS[0]).encode() + b"\n"
    path.write_bytes(b'{"canonical_smiles": "C\xff"}\n[1]\n{broken\n' + good)
    records, tally = read(path)
    assert [record.id for record in records] == ["moltextnet:bad.jsonl:4"]
    assert tally.dropped == {"not UTF-8": 1, "not a JSON object": 1, "not JSON": 1}
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(BadInput, match=r"bad\.parquet: not readable as Parquet"):
        read(tmp_path / "bad.parquet")
