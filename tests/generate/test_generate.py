"""Prompts to ids, ids back to segments; what is sampled between is set by hand where it matters."""

import importlib
import json

import numpy as np
import pytest
from flax import nnx

from biomatrix_jax.checkpoint import CheckpointStore
from biomatrix_jax.errors import BadInput
from biomatrix_jax.generate import Sampled, Start, generate
from biomatrix_jax.tokens import Molecule3D, Protein3D, ProteinSequence, Selfies, Smiles, Text

module = importlib.import_module("biomatrix_jax.generate.generate")


@pytest.fixture
def continue_with(monkeypatch, vocabulary):
    """Has `generate` continue its only prompt with given tokens, and returns what it asked for."""

    def fix(ids, stopped=True):
        asked = {}

        def sample(model, prompts, **settings):
            asked.update(settings, prompts=[list(map(int, prompt)) for prompt in prompts])
            return [Sampled(np.array(ids, np.int32), stopped)] * len(prompts)

        monkeypatch.setattr(module, "sample", sample)
        return asked

    return fix


def test_an_opened_segment_ends_with_its_own_end_token_or_the_document(vocabulary, continue_with):
    start, end = vocabulary.start_id("selfies"), vocabulary.end_id("selfies")
    asked = continue_with([vocabulary.id("[C]"), vocabulary.id("[O]"), end])
    [made] = generate(None, vocabulary, [Start("selfies")])
    assert asked["prompts"] == [[start]]
    assert asked["stop"] == [(*vocabulary.eos_ids, end)]
    assert asked["vocab_size"] == vocabulary.size
    assert made.segments == [Selfies("[C][O]")]
    assert made.text == "<|mol_sfi_start|>[C][O]<|mol_sfi_end|>"
    assert made.problems == []
    assert (made.finished, made.prompt_length, len(made.ids)) == (True, 1, 4)


def test_segments_before_an_opened_one_are_its_condition(vocabulary, continue_with):
    asked = continue_with([vocabulary.id("<S 3>"), vocabulary.end_id("protein_3d")])
    prompt = [Text("Fold "), ProteinSequence("M"), Start("protein_3d")]
    [made] = generate(None, vocabulary, [prompt])
    whole = vocabulary.encode([Text("Fold "), ProteinSequence("M"), Protein3D((3,))])
    assert asked["prompts"] == [whole[:-2].tolist()]
    assert made.ids.tolist() == whole.tolist()
    assert made.segments == [Text("Fold "), ProteinSequence("M"), Protein3D((3,))]


def test_text_may_spell_control_tokens_and_goes_on_to_the_end_of_the_document(
    vocabulary, continue_with
):
    answer = vocabulary.encode([Text(" is methane.")])
    asked = continue_with([*answer, vocabulary.eos_id])
    [made] = generate(None, vocabulary, ["<|mol_smi_start|>C<|mol_smi_end|>"])
    assert asked["prompts"] == [vocabulary.encode([Smiles("C")]).tolist()]
    assert asked["stop"] == [vocabulary.eos_ids]
    assert made.segments == [Smiles("C"), Text(" is methane.")]
    assert made.text == "<|mol_smi_start|>C<|mol_smi_end|> is methane."
    assert made.ids[-1] == vocabulary.eos_id


def test_what_is_malformed_is_named_and_spelled_as_it_is(vocabulary, continue_with):
    continue_with([vocabulary.id("[C 0]"), vocabulary.id("<A M>")], stopped=False)
    [made] = generate(None, vocabulary, [Start("molecule_3d")])
    assert made.segments == [Molecule3D("[C 0]"), Text("<A M>")]
    assert [problem.kind for problem in made.problems] == ["unclosed_segment", "stray_token"]
    assert made.text == "<|mol_3d_start|>[C 0]<A M>"
    assert not made.finished


def test_json_has_segments_by_modality_and_problems(vocabulary, continue_with):
    continue_with([vocabulary.id("<S 3>"), vocabulary.id("<S 0>")], stopped=False)
    [made] = generate(None, vocabulary, [Start("protein_3d")])
    assert json.loads(made.to_json()) == {
        "text": "<|prot_3d_start|><S 3><S 0>",
        "segments": [{"modality": "protein_3d", "codes": [3, 0]}],
        "problems": [
            {
                "kind": "unclosed_segment",
                "position": 0,
                "message": "unclosed_segment at position 0: protein_3d has no end token",
            }
        ],
        "finished": False,
    }
    assert "\n" not in made.to_json()


def test_settings_reach_the_sampler(vocabulary, continue_with):
    asked = continue_with([vocabulary.eos_id])
    settings = {
        "max_new_tokens": 7,
        "temperature": 0.3,
        "top_p": 0.4,
        "seed": 5,
        "batch_rows": 2,
        "on_rows": print,
    }
    generate(None, vocabulary, ["a"], **settings)
    assert {name: asked[name] for name in settings} == settings


def test_a_random_model_writes_only_ids_of_the_vocabulary(vocabulary, model):
    made = generate(model, vocabulary, [Start("selfies"), "Once"] * 8, max_new_tokens=30)
    assert max(row.ids.max() for row in made) < vocabulary.size
    assert len({row.text for row in made}) == 16
    for row in made:
        assert row.segments == vocabulary.decode(row.ids)
        assert row.text.startswith(("<|mol_sfi_start|>", "Once"))
        assert row.finished or len(row.ids) == row.prompt_length + 30


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "prompt 0 is empty"),
        ([], "prompt 0 is empty"),
        (Start("text"), "'text' segments have no control tokens"),
        ([Start("smiles"), Text("after")], "Start.* is not a segment"),
        ([Selfies("[N]")], r"Selfies has '\[N\]', which is not in the vocabulary"),
        ("x " * 100, "prompt 0 has .* tokens; 1 more would pass the model's 64 positions"),
    ],
)
def test_bad_prompts_are_refused(vocabulary, model, prompt, message):
    with pytest.raises(BadInput, match=message):
        generate(model, vocabulary, [prompt], max_new_tokens=1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, config, model, vocabulary):
    directory = tmp_path_factory.mktemp("run") / "checkpoints"
    with CheckpointStore.create(directory, config, carried=vocabulary.path, made={}) as store:
        store.save(0, nnx.split(model, nnx.Param)[1])
    return directory


OPTIONS = {
    "prompt": None,
    "start": None,
    "count": 3,
    "temperature": 1.0,
    "top_p": 1.0,
    "max_tokens": 5,
    "seed": 0,
    "as_json": False,
}


@pytest.mark.parametrize("place", ["checkpoint", "run", "step"])
def test_run_prints_a_line_a_generation(checkpoint, place):
    path = {"checkpoint": checkpoint, "run": checkpoint.parent, "step": checkpoint / "0"}[place]
    lines = list(module.run(path, **OPTIONS | {"start": "selfies"}))
    assert len(lines) == 3
    assert all(line.startswith("<|mol_sfi_start|>") for line in lines)


def test_run_gives_json_on_request(checkpoint):
    [line] = module.run(checkpoint, **OPTIONS | {"prompt": "Once", "count": 1, "as_json": True})
    assert json.loads(line)["text"].startswith("Once")


def test_run_wants_one_prompt(checkpoint):
    for given in ({}, {"prompt": "a", "start": "selfies"}):
        with pytest.raises(BadInput, match="either --prompt or --start"):
            list(module.run(checkpoint, **OPTIONS | given))


def test_run_says_which_model_gives_no_numbers(checkpoint, monkeypatch):
    def diverged(*args, **options):
        raise FloatingPointError("the model's logits are not finite")

    monkeypatch.setattr(module, "sample", diverged)
    with pytest.raises(BadInput, match=f"{checkpoint}: the model's logits are not finite"):
        list(module.run(checkpoint, **OPTIONS | {"start": "selfies"}))


def test_run_refuses_a_bad_modality_before_it_reads_the_weights(checkpoint, monkeypatch):
    monkeypatch.setattr("biomatrix_jax.convert.load.load", None)
    with pytest.raises(BadInput, match="'proteins' segments have no control tokens"):
        list(module.run(checkpoint, **OPTIONS | {"start": "proteins"}))
