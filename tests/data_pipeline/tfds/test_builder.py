import importlib
import json
import pickle
import shutil
import sys

import grain
import pytest
import tensorflow_datasets as tfds

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.rows import encode_row
from biomatrix_jax.errors import BadInput
from data_pipeline.tfds.builder import BiomatrixRows, split_names


@pytest.fixture
def copy(data, tmp_path):
    return shutil.copytree(data[0], tmp_path / "data")


def flip(path, place=0.5):
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)


def test_tfds_reads_every_row_of_the_shards_as_they_lie(data, record):
    directory, rows = data
    files = sorted(path.name for path in directory.rglob("*"))
    found = tfds.data_source("biomatrix_rows", data_dir=directory)
    assert list(found) == ["pubmed", "swiss-prot_v2"]
    for split, source in zip(found, rows, strict=True):
        assert [record(row) for row in found[split]] == [encode_row(row) for row in rows[source]]
    assert sorted(path.name for path in directory.rglob("*")) == files  # nothing was written


def test_slices_batches_and_several_splits(data, record):
    directory, rows = data
    builder = BiomatrixRows(data_dir=directory)
    expected = [encode_row(row) for row in rows["pubmed"]]
    last, both = builder.as_data_source(["pubmed[60%:]", "pubmed+swiss-prot_v2"])
    assert [record(row) for row in last] == expected[15:]
    assert [record(row) for row in last.__getitems__([9, 0])] == [expected[24], expected[15]]
    assert len(both) == 50
    assert record(both[49]) == encode_row(rows["swiss-prot.v2"][24])
    with pytest.raises(ValueError, match="Unknown split 'nowhere'"):
        builder.as_data_source("nowhere")


def test_info_tells_what_is_there(data):
    directory, _ = data
    info = BiomatrixRows(data_dir=directory).info
    assert {name: split.shard_lengths for name, split in info.splits.items()} == {
        "pubmed": [10, 10, 5],
        "swiss-prot_v2": [10, 10, 5],
    }
    assert info.splits["pubmed"].filepaths == sorted((directory / "shards").glob("pubmed-*"))
    assert info.features.shape["tokens"] == (48,)
    assert info.metadata["sources"] == ["pubmed", "swiss-prot.v2"]
    assert info.metadata["modalities"][2] == "selfies"


def test_worker_processes_get_what_they_read_from_by_pickling(data, record):
    directory, rows = data
    builder = pickle.loads(pickle.dumps(BiomatrixRows(data_dir=directory)))
    source = pickle.loads(pickle.dumps(builder.as_data_source("pubmed[5:]")))
    assert record(source[0]) == encode_row(rows["pubmed"][5])


def test_a_flipped_bit_is_named_with_shard_and_row(copy):
    flip(copy / "shards/pubmed-00001.arrayrecord")
    source, later = BiomatrixRows(data_dir=copy).as_data_source(["pubmed[3:]", "pubmed[12:]"])
    assert source[6]["tokens"].shape == (48,)  # of the shard before
    for read in (lambda: source[12], lambda: source.__getitems__([0, 12]), lambda: later[3]):
        with pytest.raises(BadInput, match=r"shards/pubmed-00001\.arrayrecord, row 5: "):
            read()


def test_nothing_of_tfds_can_delete_the_directory(copy):
    config = tfds.download.DownloadConfig(download_mode=tfds.GenerateMode.REUSE_CACHE_IF_EXISTS)
    tfds.data_source(
        "biomatrix_rows",
        data_dir=copy,
        download_and_prepare_kwargs={"download_config": config},
    )
    assert len(list((copy / "shards").iterdir())) == 6


def test_nothing_is_asked_on_the_network(data, monkeypatch):
    def asked(name):
        raise AssertionError(name)

    files = "tensorflow_datasets.core.utils.gcs_utils.gcs_dataset_info_files"
    monkeypatch.setattr(files, asked)
    assert BiomatrixRows(data_dir=data[0]).is_prepared()


def test_tensorflow_is_refused_with_what_to_do(data):
    with pytest.raises(BadInput, match="use as_data_source, or write them for it"):
        tfds.load("biomatrix_rows", data_dir=data[0], split="pubmed")


def test_no_data_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no finished data"):
        BiomatrixRows(data_dir=tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.b", "a_b"], "sources a.b and a_b would both be split a_b"),
        (["All"], "a source called All cannot be a split"),
    ],
)
def test_sources_that_cannot_be_splits_are_bad_input(make_data, tmp_path, names, message):
    make_data(tmp_path, names, count=1)
    with pytest.raises(BadInput, match=message):
        BiomatrixRows(data_dir=tmp_path)


def test_shards_that_tfds_would_not_find_are_bad_input(copy):
    (copy / "shards/pubmed-00002.arrayrecord").rename(copy / "shards/pubmed-00007.arrayrecord")
    tree = json.loads((copy / "manifest.json").read_text())
    tree["shards"][2]["path"] = "shards/pubmed-00007.arrayrecord"
    (copy / "manifest.json").write_text(json.dumps(tree))
    with pytest.raises(BadInput, match="shards of pubmed are not numbered"):
        BiomatrixRows(data_dir=copy)


def test_split_names_keep_what_tfds_allows(data):
    assert split_names(manifests.read(data[0])) == {
        "pubmed": "pubmed",
        "swiss-prot_v2": "swiss-prot.v2",
    }


def test_grain_shuffles_and_batches_what_tfds_reads(data):
    directory, rows = data
    source = BiomatrixRows(data_dir=directory).as_data_source("pubmed")
    batches = list(grain.MapDataset.source(source).shuffle(seed=1).batch(5))
    assert [batch["segment_ids"].shape for batch in batches] == [(5, 48)] * 5
    drawn = sorted(tokens.tobytes() for batch in batches for tokens in batch["tokens"])
    assert drawn == sorted(row.tokens.tobytes() for row in rows["pubmed"])


def test_without_tfds_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    monkeypatch.delitem(sys.modules, "data_pipeline.tfds")
    with pytest.raises(BadInput, match=r"pip install 'biomatrix-jax\[data\]'"):
        importlib.import_module("data_pipeline.tfds")
