"""The same build by Apache Beam's direct runner."""

import json

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.errors import UnreadableFile
from biomatrix_jax.tokens import base_tokenizer_path
from data_pipeline import tasks
from data_pipeline.build import build
from data_pipeline.engine.beam import _one_line, beam
from data_pipeline.recipe import Recipe, SourceRecipe

pytest.importorskip("apache_beam", reason="needs the extra `beam`")


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "INPUT_BYTES", 10)  # a task for each file
    (tmp_path / "texts").mkdir()
    for number in range(3):
        lines = [json.dumps({"text": f"Text {number} of {line}."}) for line in range(20)]
        (tmp_path / "texts" / f"{number}.jsonl").write_text("\n".join(lines))
    source = SourceRecipe("texts", "text", path=str(tmp_path / "texts"))
    return Recipe((source,), str(base_tokenizer_path()), row_length=64)


@pytest.mark.slow
def test_a_runner_makes_the_same_directory_as_this_process(recipe, tmp_path):
    told = []
    made = build(
        recipe,
        tmp_path / "beam",
        engine=beam(["--runner=DirectRunner"]),
        progress=lambda *one: told.append(one),
    )
    assert build(recipe, tmp_path / "here") == made
    for entry in (*made.documents, *made.shards):
        bytes_of = [(tmp_path / name / entry.path).read_bytes() for name in ("beam", "here")]
        assert bytes_of[0] == bytes_of[1]
    assert told[0] == ("documents", 0, 3)
    assert told[-1] == ("rows", 1, 1)


@pytest.mark.slow
def test_what_a_task_refuses_on_a_runner_is_one_line(recipe, tmp_path):
    (tmp_path / "texts" / "1.jsonl.gz").write_bytes(b"\x1f\x8bxxxx")
    with pytest.raises(BadInput, match=r"1\.jsonl\.gz: damaged or truncated gzip data") as error:
        build(recipe, tmp_path / "out", engine=beam([]))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_refusal_of_any_kind_is_one_line():
    """What a runner says of an error that it met in a task, here of a subclass of BadInput."""
    said = (
        "Traceback (most recent call last):\n  File ...\nbiomatrix_jax.structure.protein.errors."
        "UnreadableFile: 1abc.cif: cut short [while running 'work']\n"
    )
    assert issubclass(UnreadableFile, BadInput)
    with pytest.raises(BadInput, match=r"^1abc\.cif: cut short$"), _one_line():
        raise RuntimeError(said)
