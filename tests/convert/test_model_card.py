"""The model card: what the records say is there, and nothing else."""

import dataclasses

import pytest

from biomatrix_jax.config import MixtureStage, ModelConfig, RunConfig, parse_yaml
from biomatrix_jax.convert.model_card import is_made, model_card
from biomatrix_jax.tokens import base_tokenizer_path, extend_tokenizer

# The published shape, whose size the report of BioMatrix gives: 2,097,800,192.
CONFIG = ModelConfig()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vocabulary")
    symbols = {"selfies": ["[C]", "[=C]"], "molecule_tokens": ["[C 0]", "[C 42]", "[H 3]"]}
    return extend_tokenizer(base_tokenizer_path(), directory, **symbols, protein_codes=4096)


def card(made=None, step=0, **options):
    return model_card("lab/model", CONFIG, "bfloat16", made=made or {}, step=step, **options)


def metadata(text):
    head, start, rest = text.partition("---\n")
    assert (head, start) == ("", "---\n")
    return parse_yaml(rest.partition("---\n")[0], "card")


def trained(init_from="", **changes):
    run = RunConfig(train=dataclasses.replace(RunConfig().train, init_from=init_from))
    return {"by": "training", "config": dataclasses.asdict(dataclasses.replace(run, **changes))}


def test_what_is_not_known_is_not_said():
    text = card()
    assert metadata(text) == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["biomatrix-jax"],
    }
    assert "## Vocabulary" not in text
    assert "## How it was made" not in text
    assert "AutoTokenizer" not in text
    assert "None" not in text


def test_the_architecture_and_its_size():
    text = card()
    assert "# model\n" in text
    assert "(`Qwen3ForCausalLM`) with 2,097,800,192 parameters in bfloat16.\n" in text
    for row in ("| hidden size | 2,048 |", "| layers | 28 |", "| rope theta | 1,000,000 |"):
        assert row in text
    assert "| query heads / key-value heads | 16 / 8 |" in text
    assert "separate from the embedding" in text
    tied = dataclasses.replace(CONFIG, tied_embeddings=True)
    text = model_card("lab/model", tied, "float16", made={}, step=0, rounded_from="float32")
    # One table of 168,064 rows less.
    assert f"{2_097_800_192 - 168_064 * 2048:,} parameters in float16, rounded from float32" in text
    assert "shared with the embedding" in text


def test_the_vocabulary_by_family(vocabulary):
    text = card(vocabulary=vocabulary)
    assert f"{vocabulary.size:,} tokens in an embedding of 168,064 rows." in text
    counts = [line.split("|")[2].strip() for line in text.splitlines() if line.startswith("| ")]
    assert counts[-5:] == ["10", "2", "26", "4,096", "3"]
    assert metadata(text)["tags"] == ["biomatrix-jax", "chemistry", "biology"]


def test_how_the_vocabulary_was_extended(vocabulary):
    base = {"path": "Qwen/Qwen3-1.7B-Base", "revision": COMMIT, "tokens": 151669}
    noise = {"seed": 5, "standard_deviation": 0.0221, "generator": "x"}
    text = card(vocabulary=vocabulary, extension={"base": base, "noise": noise})
    assert "[Qwen/Qwen3-1.7B-Base](https://huggingface.co/Qwen/Qwen3-1.7B-Base)" in text
    assert "which has 151669 tokens" in text
    assert "standard deviation 0.0221 (seed 5)" in text
    assert metadata(text)["base_model"] == "Qwen/Qwen3-1.7B-Base"


@pytest.mark.parametrize(
    ("made", "base"),
    [
        ({"from": "hf://Qwen/Qwen3-0.6B"}, "Qwen/Qwen3-0.6B"),
        ({"from": "Qwen/Qwen3-0.6B", "commit": COMMIT}, "Qwen/Qwen3-0.6B"),
        ({"from": "Qwen/Qwen3-0.6B"}, None),
        ({"from": "/home/somebody/Qwen3-0.6B"}, None),
        (trained("hf://Qwen/Qwen3-0.6B"), "Qwen/Qwen3-0.6B"),
        (trained("Qwen/Qwen3-0.6B"), None),
        (trained(), None),
    ],
)
def test_a_base_is_named_only_where_it_is_certain(made, base):
    text = card(made)
    assert metadata(text).get("base_model") == base
    assert ("huggingface.co" in text) == (base is not None)


def test_a_conversion_is_told_without_private_paths():
    assert "- Weights converted from the directory `my-model`." in card(
        {"by": "convert from-hf", "from": "/home/somebody/my-model"}
    )
    assert "somebody" not in card(trained("/home/somebody/start"))
    at = card({"from": "hf://lab/base", "commit": COMMIT})
    assert f"[lab/base](https://huggingface.co/lab/base) at commit `{COMMIT}`." in at


def test_a_training_run_is_told():
    data = dataclasses.replace(RunConfig().data, path="/home/x", mixture={"zinc": 2.0, "a|b": 0.5})
    text = card(trained(data=data), step=12_000)
    assert "- Trained for 12,000 of 36,400 steps, starting from random weights, seed 0." in text
    assert "- A step: 1,024 packed rows of 8,192 tokens." in text
    assert "- Mixture by weight: `zinc` 2, `a|b` 0.5." in text
    assert "Mixture from" not in text
    assert "- AdamW: peak learning rate 0.0002, 2,000 warm-up steps, cosine decay to 0.1" in text
    assert "from the directory `start`, seed 0" in card(trained("runs/start"), step=1)


def test_a_schedule_of_mixtures_is_told():
    stages = (MixtureStage(9000, {"zinc": 1.0, "nci": 3.0}), MixtureStage(20_000, {}))
    text = card(trained(data=dataclasses.replace(RunConfig().data, mixture_schedule=stages)))
    assert "- Mixture from step 9,000 on: `zinc` 1, `nci` 3." in text
    assert "- Mixture from step 20,000 on: as many rows as there are." in text


def test_a_record_of_another_version_is_passed_over():
    made = trained()
    made["config"]["optimizer"]["kind"] = "sgd"
    assert "## How it was made" not in card(made)


def test_a_made_card_is_told_from_one_by_hand(tmp_path):
    (tmp_path / "README.md").write_text(card())
    assert is_made(tmp_path / "README.md")
    by_hand = "\n".join(line for line in card().splitlines() if "<!--" not in line)
    (tmp_path / "README.md").write_text(by_hand)
    assert not is_made(tmp_path / "README.md")
    (tmp_path / "README.md").write_bytes(b"\xff\xfe")
    assert not is_made(tmp_path / "README.md")


def test_both_ways_to_load_it_are_shown(vocabulary):
    text = card(vocabulary=vocabulary)
    assert 'AutoModelForCausalLM.from_pretrained("lab/model", dtype="auto")' in text
    assert 'AutoTokenizer.from_pretrained("lab/model")' in text
    assert 'bm.load("hf://lab/model")' in text
