"""Rows of another length from the documents of a directory."""

import dataclasses
import json

import pytest

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Maker
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import base_tokenizer_path, extend_tokenizer
from data_pipeline import repack as module
from data_pipeline.build import build
from data_pipeline.inspect import inspect
from data_pipeline.recipe import Recipe, SourceRecipe
from data_pipeline.repack import repack

TEXTS = ["Water boils at one hundred degrees. " * 9, "Ice floats.", "Salt dissolves in water."]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    place = tmp_path_factory.mktemp("repack")
    extend_tokenizer(
        base_tokenizer_path(), place / "tok", selfies=["[C]"], molecule_tokens=[], protein_codes=0
    )
    lines = [json.dumps({"id": f"t{number}", "text": text}) for number, text in enumerate(TEXTS)]
    (place / "texts.jsonl").write_text("\n".join(lines))
    text = SourceRecipe("text", "text", path=str(place / "texts.jsonl"))
    return Recipe(sources=(text,), tokenizer=str(place / "tok"), row_length=128)


@pytest.fixture(scope="module")
def built(recipe, tmp_path_factory):
    """Tests leave it as it is."""
    place = tmp_path_factory.mktemp("built") / "data"
    build(recipe, place)
    return place


def test_rows_of_another_length_are_those_that_a_build_would_make(recipe, built, tmp_path):
    shorter = repack(built, tmp_path / "shorter", 48)
    expected = build(
        dataclasses.replace(recipe, row_length=48, keep_documents=False), tmp_path / "built"
    )
    assert shorter == expected
    assert manifests.read(tmp_path / "shorter", checksums=True) == shorter
    for path in (manifests.FILE, *(shard.path for shard in shorter.shards)):
        made = (tmp_path / "shorter" / path).read_bytes()
        assert made == (tmp_path / "built" / path).read_bytes()
    assert shorter.sources[0].cut == 1


def test_rows_alone_give_no_rows_of_another_length(built, tmp_path):
    repack(built, tmp_path / "rows", 48)
    with pytest.raises(BadInput, match="keeps no documents"):
        repack(tmp_path / "rows", tmp_path / "again", 64)


def test_rows_of_one_token_are_refused(built, tmp_path):
    with pytest.raises(BadInput, match="at least 2 tokens, not 1"):
        repack(built, tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()


def test_rows_by_other_code_say_what_made_the_documents(built, tmp_path, monkeypatch):
    before = manifests.read(built)
    monkeypatch.setattr(module, "code", lambda: "another")
    made = repack(built, tmp_path / "rows", 48)
    assert made.code == "another"
    assert made.documents_by == Maker(before.code, before.versions)
    assert manifests.read(tmp_path / "rows") == made
    lines = inspect(tmp_path / "rows", rows=0).splitlines()
    version = before.versions["biomatrix-jax"]
    start = lines.index(f"  documents: biomatrix-jax {version}, code {before.code}")
    assert lines[start + 1] == f"  biomatrix-jax {version}, code another"
