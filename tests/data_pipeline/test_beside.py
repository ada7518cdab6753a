"""Folders and tables beside a corpus: on record, and watched while a build goes on."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import pytest

from biomatrix_jax.config import from_dict
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import base_tokenizer_path, extend_tokenizer
from data_pipeline import sources, tasks
from data_pipeline.build import build
from data_pipeline.recipe import Recipe, SourceRecipe
from data_pipeline.sources.tally import Tally

MODEL = "AF-P00001-F1-model_v4.pdb"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tok"
    extend_tokenizer(
        base_tokenizer_path(), path, selfies=["[C]"], molecule_tokens=[], protein_codes=0
    )
    return str(path)


@pytest.fixture
def recipe(tokenizer, tmp_path):
    """Proteins with a folder of models, none of which is one."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / MODEL).write_text("no model")
    (tmp_path / "models" / "README").write_text("of a database")
    fasta = ">sp|P00001|ONE_HUMAN One protein OS=Homo sapiens OX=9606 PE=1 SV=1\nMKVLLA\n"
    (tmp_path / "proteins.fasta").write_text(fasta)
    proteins = SourceRecipe(
        "proteins",
        "uniprot",
        path=str(tmp_path / "proteins.fasta"),
        options={"structures": str(tmp_path / "models")},
    )
    return Recipe(sources=(proteins,), tokenizer=tokenizer, row_length=64)


@pytest.fixture
def interrupted(recipe, tmp_path):
    """The recipe with a source behind its own that stops it, and that one put right."""
    (tmp_path / "empty.jsonl").write_text("{}\n")
    text = SourceRecipe("text", "text", path=str(tmp_path / "empty.jsonl"))
    both = dataclasses.replace(recipe, sources=(*recipe.sources, text))
    with pytest.raises(BadInput, match="source text: nothing to pack"):
        build(both, tmp_path / "out")
    (tmp_path / "empty.jsonl").write_text(json.dumps({"text": "Some words."}))
    return both


def done_before(recipe, out) -> dict[str, int]:
    """How many tasks of each stage are done when a build begins."""
    first = {}
    build(recipe, out, progress=lambda stage, done, tasks: first.setdefault(stage, done))
    return first


def test_all_files_of_a_folder_are_on_record(recipe, tmp_path):
    (source,) = build(recipe, tmp_path / "out").sources
    lines = "".join(
        f"{hashlib.sha256((tmp_path / 'models' / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (MODEL, "README")
    )
    (beside,) = source.beside
    assert (beside.first, beside.files) == (MODEL, 2)
    assert beside.bytes == len("no model") + len("of a database")
    assert beside.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert [one.first for one in source.inputs] == ["proteins.fasta"]
    assert manifests.read(tmp_path / "out").sources == (source,)


def test_a_large_folder_is_hashed_in_pieces(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "INPUT_BYTES", 1)
    (source,) = build(recipe, tmp_path / "out").sources
    assert [(one.first, one.files) for one in source.beside] == [(MODEL, 1), ("README", 1)]


def test_what_did_not_change_is_not_read_again(interrupted, tmp_path):
    assert done_before(interrupted, tmp_path / "out") == {"beside": 1, "documents": 1, "rows": 0}


def test_a_change_within_a_folder_is_noticed(interrupted, tmp_path):
    """Of a file in its place: the folder's own time stays."""
    folder = tmp_path / "models"
    before = folder.stat().st_mtime_ns
    model = folder / MODEL
    state = model.stat()
    model.write_text("a fake!!")
    os.utime(model, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert folder.stat().st_mtime_ns == before
    assert done_before(interrupted, tmp_path / "out") == {"beside": 0, "documents": 0, "rows": 0}
    build(interrupted, tmp_path / "fresh")
    assert (tmp_path / "out" / manifests.FILE).read_bytes() == (
        tmp_path / "fresh" / manifests.FILE
    ).read_bytes()


def test_a_folder_that_is_not_there_stops_before_anything_is_made(recipe, tmp_path):
    (tmp_path / "models").rename(tmp_path / "gone")
    with pytest.raises(BadInput, match=r"models: No such file or directory$"):
        build(recipe, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("reader", "options", "file", "expected"),
    [
        ("pdbbind", {}, "release/index/INDEX.2020", ["release"]),
        ("pdbbind", {"structures": "else"}, "release/index/INDEX.2020", ["else"]),
        ("crossdocked", {}, "set/types/a.types", ["set"]),
        ("qm9", {}, "gdb9.sdf", ["gdb9.sdf.csv"]),
        ("qm9", {}, "gdb9.sdf.gz", ["gdb9.sdf.csv"]),
        ("qm9", {"table": "t.csv"}, "gdb9.sdf", ["t.csv"]),
        ("qm9", {}, "qm9pack.whl", []),
        ("ppiref", {"fold": "train", "structures": "pdb"}, "folds.json", ["pdb"]),
        ("uniprot", {}, "a.fasta", []),
        ("pubchem", {"titles": "t.gz", "synonyms": "s.gz"}, "a.sdf", ["t.gz", "s.gz"]),
    ],
)
def test_readers_tell_what_lies_beside(monkeypatch, tmp_path, reader, options, file, expected):
    monkeypatch.chdir(tmp_path)
    of_reader = sources.reader(reader).Options(**options)
    found = of_reader.paths_beside([Path(file)])
    assert [path.absolute() for path in found] == [tmp_path / name for name in expected]


@pytest.mark.parametrize("reader", sources.READERS)
def test_resolved_options_read_back(reader):
    """So that the recipe in a manifest builds the same again."""
    kind = sources.reader(reader).Options
    tree = json.loads(json.dumps(dataclasses.asdict(kind())))
    assert from_dict(kind, tree, reader) == kind()


def test_a_process_that_builds_again_reads_what_lies_there_now(recipe, tmp_path):
    """A model that came, and a list of deletions that changed in its place."""
    (source,) = build(recipe, tmp_path / "before").sources
    assert not any("no model" in reason for reason in source.lost)
    (tmp_path / "models" / MODEL).rename(tmp_path / "models" / MODEL.replace("P00001", "P00002"))
    (source,) = build(recipe, tmp_path / "after").sources
    assert source.lost["structure: no model"] == 1


def test_a_list_of_deletions_that_changed_in_its_place_counts_as_it_is_now(tmp_path):
    article = (
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>7</PMID><Article>"
        "<ArticleTitle>A title.</ArticleTitle><Abstract><AbstractText>Some words."
        "</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>"
    )
    (tmp_path / "a.xml").write_text(article)
    deleted = tmp_path / "deleted.pmids"
    options = sources.reader("pubmed").Options(deleted=str(deleted))

    def kept(content):
        deleted.write_text(content)
        files = sources.input_files("pubmed", str(tmp_path / "a.xml"), options)
        return len(list(sources.read_files("pubmed", files, options, Tally())))

    assert [kept("8\n"), kept("7\n8\n"), kept("")] == [1, 0, 1]
