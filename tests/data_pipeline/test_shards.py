import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from biomatrix_jax.data.rows import Row, decode_row, encode_row
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import sha256
from data_pipeline.shards import ROWS_PER_SHARD, read_shard, write_shard, write_shards


def rows(count, length=32):
    rng = np.random.default_rng(0)
    for _ in range(count):
        tokens = rng.integers(0, 1000, length).astype(np.int32)
        yield Row(tokens, np.zeros(length, np.uint8), np.array([length]), np.array([0]))


def records(path):
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(path))
    try:
        return [reader.read() for _ in range(reader.num_records())]
    finally:
        reader.close()


def test_rows_are_written_in_order_into_shards_of_limited_size(tmp_path):
    shards = write_shards(rows(23), tmp_path, "nci", rows_per_shard=10)
    assert [(s.path, s.source, s.rows) for s in shards] == [
        ("shards/nci-00000.arrayrecord", "nci", 10),
        ("shards/nci-00001.arrayrecord", "nci", 10),
        ("shards/nci-00002.arrayrecord", "nci", 3),
    ]
    for shard in shards:
        assert (tmp_path / shard.path).stat().st_size == shard.bytes
        assert sha256(tmp_path / shard.path) == shard.sha256
    written = [record for s in shards for record in records(tmp_path / s.path)]
    assert written == [encode_row(row) for row in rows(23)]
    assert ROWS_PER_SHARD == 4096


def test_the_same_rows_give_the_same_bytes(tmp_path):
    first = write_shards(rows(40), tmp_path / "a", "x")
    second = write_shards(rows(40), tmp_path / "b", "x")
    assert first == second


def test_shards_are_compressed_row_by_row(tmp_path):
    """zstd, and one row to a chunk so that a row is read without its neighbours."""
    from array_record.python.array_record_module import ArrayRecordReader

    (shard,) = write_shards(rows(40), tmp_path, "x")
    options = ArrayRecordReader(str(tmp_path / shard.path)).writer_options_string()
    assert "group_size:1" in options
    assert "zstd" in options


def test_no_rows_no_shards(tmp_path):
    assert write_shards(rows(0), tmp_path, "x") == []


def test_an_interrupted_shard_has_no_final_name(tmp_path):
    def failing():
        yield from rows(12)
        raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        write_shards(failing(), tmp_path, "x", rows_per_shard=10)
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["x-00000.arrayrecord"]
    assert decode_row(records(tmp_path / "shards/x-00000.arrayrecord")[0], 32).lengths == [32]


def test_a_full_disk_is_an_error_of_the_system_that_names_the_file(tmp_path):
    """A limit on the size of files stands in for the disk, in a process of its own."""
    script = """
import resource, sys
from pathlib import Path
from data_pipeline.shards import write_shard
from tests.data_pipeline.test_shards import rows
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_shard(rows(2000), Path(sys.argv[1]))
except OSError as error:
    print(error.filename, "|", error.strerror)
"""
    path = tmp_path / "x.arrayrecord"
    repository = Path(__file__).parents[2]
    arguments = [sys.executable, "-c", script, str(path)]
    said = subprocess.run(arguments, cwd=repository, capture_output=True, text=True).stdout
    assert said.startswith(f"{path}.incomplete | "), said
    assert "File too large" in said
    assert list(tmp_path.iterdir()) == []


def test_a_shard_says_what_is_in_it(tmp_path):
    tokens = np.arange(6, dtype=np.int32)
    modality = np.array([0, 0, 1, 5, 5, 0], np.uint8)
    one = Row(tokens, modality, np.array([2, 3]), np.array([0, 0]))  # the last is padding
    written = write_shard([one, one], tmp_path / "a" / "x.arrayrecord")
    assert (written.records, written.documents) == (2, 4)
    assert {name: n for name, n in written.tokens.items() if n} == {
        "text": 4,
        "smiles": 2,
        "protein_3d": 4,
    }
    assert written.sha256 == sha256(tmp_path / "a" / "x.arrayrecord")


def test_records_of_any_length_are_read_back_from_the_middle(tmp_path):
    made = [row for n in range(1, 60) for row in rows(1, length=n)]
    write_shard(made, tmp_path / "x.arrayrecord")
    for first, last in ((0, None), (20, 47), (58, 59)):
        found = list(read_shard(tmp_path / "x.arrayrecord", first, last))
        assert [encode_row(row) for row in found] == [encode_row(row) for row in made[first:last]]


@pytest.mark.parametrize("place", [0.3, 0.6, 0.8])
def test_a_damaged_record_is_named(tmp_path, place):
    path = tmp_path / "x.arrayrecord"
    write_shard(rows(300, length=2000), path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 255
    path.write_bytes(content)
    read = []
    damage = r"x\.arrayrecord, record \d+: .*build the data again"
    with pytest.raises(BadInput, match=damage) as error:
        read.extend(read_shard(path))
    assert f"record {len(read)}:" in str(error.value)  # all before it came
    assert read
