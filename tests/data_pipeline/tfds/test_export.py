import json
import os
import shutil
import subprocess
import sys

import pytest
import tensorflow_datasets as tfds
from click.testing import CliRunner

from biomatrix_jax.cli import biomatrix
from biomatrix_jax.data.rows import encode_row
from biomatrix_jax.errors import BadInput
from data_pipeline.tfds.export import export

# What a user without this package has: TFDS and its own files.
READ = """
import json, sys
import tensorflow_datasets as tfds
rows = tfds.builder_from_directory(sys.argv[1]).as_data_source(sys.argv[2])
print(json.dumps([{name: array.tolist() for name, array in row.items()} for row in rows]))
assert not any(name.startswith(("data_pipeline", "biomatrix_jax")) for name in sys.modules)
"""


def test_rows_come_back_byte_for_byte(data, record, tmp_path):
    directory, rows = data
    builder = export(directory, tmp_path / "biomatrix" / "1.0.0")
    found = builder.as_data_source()
    assert list(found) == ["pubmed", "swiss-prot_v2"]
    for split, source in zip(found, rows, strict=True):
        assert [record(row) for row in found[split]] == [encode_row(row) for row in rows[source]]
    assert builder.info.splits["pubmed"].shard_lengths == [10, 10, 5]
    assert builder.info.metadata["sources"] == ["pubmed", "swiss-prot.v2"]
    by_name = tfds.data_source("biomatrix", split="pubmed[24:]", data_dir=tmp_path)
    assert [record(row) for row in by_name] == [encode_row(rows["pubmed"][24])]
    assert (tmp_path / "biomatrix/1.0.0/tokenizer/tokenizer.json").read_text() == "{}"


def test_tfds_needs_nothing_else_to_read_them(data, tmp_path):
    directory, rows = data
    export(directory, tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path / "out", "pubmed[:2]"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    for found, row in zip(json.loads(done.stdout), rows["pubmed"], strict=False):
        assert found["tokens"] == row.tokens.tolist()
        assert found["segment_ids"] == row.segment_ids.tolist()


def test_the_same_data_give_the_same_bytes_in_another_process(data, tmp_path):
    directory, _ = data
    export(directory, tmp_path / "here")
    command = "import sys; from data_pipeline.tfds.export import export; export(*sys.argv[1:])"
    root = os.path.dirname(os.path.dirname(sys.modules["data_pipeline"].__file__))
    subprocess.run(
        [sys.executable, "-c", command, directory, tmp_path / "there"], check=True, cwd=root
    )
    files = [path for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert len(files) == 6 + 3 + 1
    for path in files:
        other = tmp_path / "there" / path.relative_to(tmp_path / "here")
        assert other.read_bytes() == path.read_bytes(), path.name


def test_damage_is_named_and_nothing_is_left(data, tmp_path):
    copy = shutil.copytree(data[0], tmp_path / "data")
    path = copy / "shards/swiss-prot.v2-00000.arrayrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"swiss-prot\.v2-00000\.arrayrecord, row 0: "):
        export(copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_command(data, tmp_path):
    directory, _ = data
    out = tmp_path / "out"
    told = CliRunner().invoke(biomatrix, ["data", "tfds", str(directory), "--out", str(out)])
    assert told.exit_code == 0, told.output
    assert "rows by split: pubmed 25, swiss-prot_v2 25" in told.stderr
    again = CliRunner().invoke(biomatrix, ["data", "tfds", str(directory), "--out", str(out)])
    assert "exists already" in str(again.exception)
    assert len(tfds.builder_from_directory(out).as_data_source("pubmed")) == 25
