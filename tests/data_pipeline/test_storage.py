"""Data directories on object stores; fsspec's own in memory stands for one."""

import json
import uuid

import fsspec
import pytest

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import base_tokenizer_path
from data_pipeline import storage
from data_pipeline.build import build, build_from_file
from data_pipeline.recipe import Recipe, SourceRecipe


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    lines = [json.dumps({"text": f"Text {number}."}) for number in range(50)]
    (folder / "texts.jsonl").write_text("\n".join(lines))
    source = SourceRecipe("texts", "text", path=str(folder / "texts.jsonl"))
    build(Recipe((source,), str(base_tokenizer_path()), row_length=64), folder / "out")
    return folder / "out"


@pytest.fixture
def url():
    return f"memory://{uuid.uuid4().hex}/data"


def test_a_directory_goes_to_a_store_and_comes_back_whole(data, url, tmp_path):
    told = []
    storage.copy(str(data), url, progress=lambda *one: told.append(one))
    back = storage.copy(url, str(tmp_path / "back"))
    assert manifests.read(tmp_path / "back", checksums=True) == back == manifests.read(data)
    names = {p.relative_to(data) for p in data.rglob("*") if p.is_file()}
    assert {p.relative_to(tmp_path / "back") for p in (tmp_path / "back").rglob("*.*")} == names
    assert told[-1] == ("copy", len(names) - 1, len(names) - 1)
    with pytest.raises(BadInput, match="exists already"):
        storage.copy(str(data), url)
    storage.copy(str(data), url, overwrite=True)


def test_an_interrupted_copy_is_not_complete_and_goes_on(data, url, tmp_path):
    def stop(stage, done, files):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.copy(str(data), url, progress=stop)
    with pytest.raises(BadInput, match=r"no manifest\.json, so no finished data"):
        storage.copy(url, str(tmp_path / "back"))
    files = fsspec.filesystem("memory")
    before = {name: files.modified(name) for name in files.find(url)}
    assert len(before) == 2
    storage.copy(str(data), url)
    assert {name: files.modified(name) for name in before} == before


def test_a_damaged_file_is_named_and_never_taken_for_whole(data, url, tmp_path):
    storage.copy(str(data), url)
    files = fsspec.filesystem("memory")
    [shard] = [name for name in files.find(url) if "/shards/" in name]
    content = bytearray(files.cat_file(shard))
    content[len(content) // 2] ^= 1
    files.pipe_file(shard, bytes(content))
    for _ in range(2):
        with pytest.raises(BadInput, match=r"shards/texts-00000\.arrayrecord has another SHA-256"):
            storage.copy(url, str(tmp_path / "back"))
    assert not (tmp_path / "back" / "manifest.json").exists()


def test_places_that_cannot_be_reached_are_one_line(data, tmp_path):
    for place in ("nosuchscheme://bucket/x", "s3://bucket/x"):
        with pytest.raises(BadInput, match=place) as error:
            storage.copy(str(data), place)
        assert "\n" not in str(error.value)
    with pytest.raises(BadInput, match=r"no manifest\.json"):
        storage.copy(str(tmp_path), str(tmp_path / "x"))


def test_a_build_for_a_store_is_staged_here(data, url, tmp_path):
    (tmp_path / "texts.jsonl").write_text(json.dumps({"text": "A text."}))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"tokenizer: {base_tokenizer_path()}\nrow_length: 64\n"
        f"sources: [{{name: t, reader: text, path: {tmp_path}/texts.jsonl}}]\n"
    )
    with pytest.raises(BadInput, match="give --staging"):
        build_from_file(recipe, url)
    manifest = build_from_file(recipe, url, staging=tmp_path / "staging")
    assert storage.copy(url, str(tmp_path / "back")) == manifest
