"""The main job, whole but tiny: every stage on real input, and what it refuses."""

import dataclasses
import json
from pathlib import Path

import pytest

import biomatrix_jax as bm
from biomatrix_jax.convert.verify import verify
from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.errors import BadInput
from biomatrix_jax.quickstart import run
from biomatrix_jax.quickstart.run import quickstart
from biomatrix_jax.quickstart.size import FULL, Size
from biomatrix_jax.train import metrics
from tests.protein_tokenizers import untrained

TINY = Size(
    molecules=40,
    structure_steps=20,
    overrides=(
        "model.embed_dim=32",
        "model.ffn_dim=64",
        "model.layers=2",
        "train.steps=12",
        "train.tensorboard=false",
    ),
    segments={
        "selfies": (6, 24),
        "molecule_3d": (2, 24),
        "smiles": (2, 24),
        "protein_sequence": (1, 24),
        "protein_3d": (3, 24),
    },
    structures=3,
)
CODES = 16


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    proteins = tmp_path_factory.mktemp("proteins") / "tokenizer"
    untrained(CODES).save(proteins)
    out = tmp_path_factory.mktemp("quickstart") / "a: out"  # which YAML and shells read differently
    size = dataclasses.replace(TINY, protein_tokenizer=str(proteins))
    return out, quickstart(out, size=size)


def test_every_stage_leaves_what_it_says(done):
    out, result = done
    assert json.loads((out / "quickstart.json").read_text()) == result
    assert result["complete"] is True
    assert len(result["stages"]) == 10
    assert all(stage["outcome"] and stage["seconds"] > 0 for stage in result["stages"])
    assert result["loss"]["last"] < result["loss"]["first"]
    assert result["molecules"]["selfies"]["generated"] == 6
    assert len(metrics.read(out / "run" / metrics.FILE)) == 12
    assert len((out / "generated.jsonl").read_text().splitlines()) == 6 + 2 + 2 + 1 + 3 + 3


def test_the_exported_model_is_the_trained_one_and_speaks_its_vocabulary(done):
    out, _ = done
    assert verify(out / "run", out / "hf").equal
    vocabulary = bm.Vocabulary.from_pretrained(out / "hf")
    ids = vocabulary.encode([bm.Text("Ethanol is "), bm.Selfies("[C][C][O]")])
    logits = bm.load(out / "hf")(ids[None])
    assert logits.shape == (1, len(ids), bm.load(out / "run").config.vocab_size)
    assert vocabulary.size <= logits.shape[-1] < vocabulary.size + 64


def test_rows_hold_all_six_kinds_of_segment(done):
    out, _ = done
    manifest = manifests.read(out / "data", checksums=True)
    tokens = {
        modality: sum(source.tokens[modality] for source in manifest.sources)
        for modality in bm.tokens.MODALITIES
    }
    assert all(tokens.values()), tokens
    assert manifest.structure_tokenizers.keys() == {"molecule", "protein"}
    vocabulary = bm.Vocabulary.from_pretrained(out / "tokenizer")
    assert len(vocabulary.families["protein_codes"]) == CODES
    # What falls under the learning curves too.
    assert "protein_3d" in metrics.read(out / "run" / metrics.FILE)[-1]["targets_by_modality"]


def test_the_page_tells_of_this_run(done):
    out, result = done
    page = (out / "report.html").read_text()
    assert f"{out / 'recipe.yaml'}" in page
    for stage in result["stages"][:-1]:
        assert stage["name"] in page


def test_an_earlier_quickstart_is_replaced_only_when_asked(done):
    out, _ = done
    before = (out / "report.html").read_bytes()
    with pytest.raises(BadInput, match="holds a quickstart already"):
        quickstart(out, size=TINY)
    assert (out / "report.html").read_bytes() == before


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_is_no_quickstart_is_never_replaced(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match="is no quickstart"):
        quickstart(tmp_path, overwrite=overwrite, size=TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("place", [".", "link"])
def test_an_earlier_quickstart_is_cleared_where_it_is(tmp_path, monkeypatch, place):
    """Also where the directory itself cannot be removed."""
    earlier, elsewhere = tmp_path / "earlier", tmp_path / "elsewhere"
    (earlier / "run").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    (earlier / run.MARK).write_text("{}")
    (earlier / "shortcut").symlink_to(elsewhere)
    (tmp_path / "link").symlink_to(earlier)
    monkeypatch.chdir(earlier if place == "." else tmp_path)
    run._clear(Path(place))
    assert list(earlier.iterdir()) == []
    assert (elsewhere / "mine").read_text() == "mine"


@pytest.mark.slow
def test_the_whole_quickstart_meets_its_promise(tmp_path):
    """The loss falls clearly, nine tenths of generated SELFIES are molecules to RDKit, and the page
    has a molecule and a backbone in 3D."""
    result = quickstart(tmp_path / "out", size=FULL)
    assert result["loss"]["last"] < 0.5 * result["loss"]["first"]
    assert result["molecules"]["selfies"]["valid"] >= 0.9 * FULL.segments["selfies"][0]
    assert result["molecules"]["molecule_3d"]["valid"] > 0
    assert result["backbones"]["valid"] > 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'id="3dmolviewer_molecule1"' in page
    assert 'id="3dmolviewer_backbone1"' in page
