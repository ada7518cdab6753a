import re

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from biomatrix_jax.config import DataConfig, MeshConfig, RunConfig, TrainConfig
from biomatrix_jax.data.manifest import Manifest, Packing, ShardEntry, SourceEntry, VocabularyEntry
from biomatrix_jax.quickstart.backbones import BackboneVerdict, compare
from biomatrix_jax.quickstart.journal import Stage
from biomatrix_jax.quickstart.molecules import judge_all
from biomatrix_jax.quickstart.report import quickstart_page
from biomatrix_jax.report.render import render, views
from biomatrix_jax.tokens import Molecule3D, ProteinSequence, Selfies, Text
from tests.quickstart.generations import generation
from tests.quickstart.helices import helix
from tests.report.pages import read_page


def embedded(_):
    mol = Chem.AddHs(Chem.MolFromSmiles("NCC=O"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=7)
    return mol


@pytest.fixture
def content():
    """A quickstart's results, with markup where text can come from data."""
    generated = {
        "selfies": [
            *[generation(Selfies(s)) for s in ("[C][O]", "[O][C]", "[C][C][Br]")],
            generation(Selfies("[N]"), problem="unclosed_segment", finished=False),
        ],
        "molecule_3d": [generation(Molecule3D("[N 1]"))],
        "protein_sequence": [
            generation(ProteinSequence("MKVLAW")),
            generation(problem="empty_segment", text="<|prot_aa_start|><|prot_aa_end|>"),
        ],
        "text": [generation(Text("x"), prompt="Any ", text="<b>protein</b>", finished=False)],
    }
    known = {"CO", "CC"}
    judged = {
        "selfies": judge_all(generated["selfies"], known),
        "molecule_3d": judge_all(generated["molecule_3d"], known, embedded),
    }
    sources = tuple(
        SourceEntry(
            name=name,
            inputs=(),
            records=120,
            used=117,
            dropped={"no <i>carbon</i>": 3},
            lost={"no conformer": 5},
            instances=117,
            rejected={},
            examples={"no <i>carbon</i>": "a", "no conformer": "b"},
            documents=117,
            cut=0,
            tokens={"selfies": 12_345},
            rows=50,
        )
        for name in ("nci", "<pdb>")
    )
    return {
        "config": RunConfig(
            data=DataConfig(row_length=256, batch_rows=32),
            mesh=MeshConfig(fsdp=4, tensor=2),
            train=TrainConfig(steps=2),
        ),
        "metrics": [
            {
                "step": step,
                "loss": loss,
                "tokens": 5000,
                "loss_by_modality": {"selfies": loss},
                "targets_by_modality": {"selfies": 4000},
                "learning_rate": 1e-3,
                "grad_norm": 1.0,
                "seconds": 1.0,
                "tokens_per_second": 5000.0,
                "mfu": None,
                "peak_flops": None,
                "peak_source": None,
            }
            for step, loss in ((1, 7.25), (2, 3.5))
        ],
        "manifest": Manifest(
            schema_version=3,
            row_length=256,
            seed=0,
            vocabulary=VocabularyEntry(4000, {}),
            packing=Packing("best fit", 1000),
            sources=sources,
            shards=tuple(
                ShardEntry(s.name, s.name, s.rows, s.documents, s.tokens, 1, "") for s in sources
            ),
            recipe={},
            code="",
            versions={},
        ),
        "generated": generated,
        "judged": judged,
        "known": known,
        "backbones": [
            BackboneVerdict(reason="unclosed <i>segment"),
            BackboneVerdict(helix(31)),
            BackboneVerdict(1.5 * helix(8)),
        ],
        "chains": compare([helix(20)] * 2, [helix(20) * (1, 1, 1.2)] * 2),
        "stages": [
            Stage("packed shards", "biomatrix data build R --out D", "100 rows", 6.0),
            Stage("sharded training", "biomatrix train smoke --out R", "loss fell", 120.0),
        ],
        "machine": "a <fine> machine",
        "versions": {"python": "3.11.7", "biomatrix-jax": "0.1.0"},
    }


@pytest.fixture
def page(content):
    return render(quickstart_page(**content))


def test_the_headlines_are_in_the_page(page):
    shown = read_page(page)
    assert "for 2 steps" in shown
    assert "2 min 6 s in all" in shown
    assert "loss, nats a token 3.50 from 7.25 at step 1" in shown
    assert "tokens seen 10 k in 2 steps" in shown
    assert "valid 75% of 4 SELFIES" in shown
    assert "unique 66.7% of 3 valid" in shown
    assert "novel 50% of 2 distinct" in shown


def test_each_distinct_molecule_is_pictured_once_and_new_ones_marked(page):
    shown = read_page(page)
    assert page.count('aria-label="structural formula') == 2
    assert shown.count("CCBr new") == 1
    assert "CO new" not in shown
    assert "The first 2 distinct molecules" in shown
    assert "NCC=O new 9 atoms, structures/molecule1.sdf" in shown
    assert 'id="3dmolviewer_molecule1"' in page


def test_the_first_conformers_can_be_turned_and_some_more_are_pictured(content):
    def decode(struct_selfies):
        mol = Chem.AddHs(Chem.MolFromSmiles("C" * len(struct_selfies[1:].split(" ")[0])))
        rdDistGeom.EmbedMolecule(mol, randomSeed=7)
        return mol

    made = [generation(Molecule3D(f"[{'C' * n} 1]")) for n in range(1, 18)]
    content["judged"]["molecule_3d"] = judge_all(made, set(), decode)
    page = quickstart_page(**content)
    names = [view.name for view in views(page) if "molecule" in view.name]
    assert names == ["molecule1", "molecule2", "molecule3"]
    assert render(page).count('aria-label="conformer') == 12


def test_invalid_molecules_are_counted_with_their_reasons(page):
    assert "SELFIES 4 3 (75%) 2 (66.7%) 1 (50%) unclosed segment (1)" in read_page(page)


def test_backbones_are_shown_and_measured_beside_real_chains(content, page):
    shown = read_page(page)
    shapes = views(quickstart_page(**content))[-2:]
    assert [(view.name, view.caption) for view in shapes] == [
        ("backbone1", "31 residues"),
        ("backbone2", "8 residues"),
    ]
    assert "31 residues structures/backbone1.pdb" in shown
    assert "real chains 2 20 3.83 ± 0.00 100% 1.30 0.0" in shown
    # 30 steps of 3.8 and 7 of 5.7 angstrom.
    assert "generated 2 20 4.19 ± 0.75 81.1%" in shown
    assert "Of 3 generated 2 are backbones (unclosed <i>segment: 1). " in shown
    rmsd = float(re.search(r"within ([\d.]+) Å RMSD of its CA", shown)[1])
    # Stretched by a fifth along z: no turn helps, so a fifth of the CA's own spread along z.
    assert rmsd == pytest.approx(0.2 * (1.5 * np.arange(20)).std(), abs=0.06)


def test_a_page_of_no_backbone_says_so(content):
    content["backbones"] = [BackboneVerdict(reason="unclosed segment")] * 4
    shown = read_page(render(quickstart_page(**content)))
    assert "generated 0 - - - - -" in shown
    assert "Of 4 generated 0 are backbones (unclosed segment: 4). " in shown
    assert "backbone1" not in shown


def test_samples_show_prompt_continuation_and_problems(page):
    shown = read_page(page)
    assert "protein sequence, 6 residues MKVLAW" in shown
    assert "empty_segment at position 0: something <|prot_aa_start|><|prot_aa_end|>" in shown
    assert "text, 10 tokens, cut at the limit" in shown
    assert "<span>Any </span>&lt;b&gt;protein&lt;/b&gt;" in page


def test_what_was_run_is_there(page):
    shown = read_page(page)
    assert "packed shards 6.0 s 100 rows sharded training 2 min 0 s loss fell" in shown
    assert "nci 120 117 117 12.3 k 50 records: no <i>carbon</i> (3); views: no conformer (5)" in (
        shown
    )
    assert "mesh fsdp=4, tensor=2" in shown
    assert "32 rows of 256 tokens; packing fills 96.4% of a row" in shown
    assert "biomatrix data build R --out D biomatrix train smoke --out R" in shown
    assert "a <fine> machine" in shown
    assert "python 3.11.7, biomatrix-jax 0.1.0" in shown
    assert "row_length: 256" in shown


def test_nothing_that_comes_from_data_is_markup(page):
    for tag in ("<i>carbon", "<pdb>", "<fine>", "<b>protein", "<i>segment"):
        assert tag not in page


def test_a_page_without_molecules_can_be_written(content):
    content |= {"generated": {}, "judged": {}, "backbones": []}
    html = render(quickstart_page(**content))
    assert "in three dimensions" not in read_page(html)
    assert "<script" not in html


def test_generations_of_which_none_is_valid_are_told(content):
    bad = [generation(problem="empty_segment")]
    content["judged"] = {name: judge_all(bad, set()) for name in ("selfies", "molecule_3d")}
    shown = read_page(render(quickstart_page(**content)))
    assert "valid 0% of 1 SELFIES" in shown
    assert "unique - of 0 valid" in shown
    assert "SELFIES 1 0 (0%) 0 (-) 0 (-) empty segment (1)" in shown
