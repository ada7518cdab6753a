"""Hugging Face directories as they come: copies, links, prefixes, and what cannot be used."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from biomatrix_jax.convert.exporter import to_hf
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.names import Prefixes
from biomatrix_jax.errors import BadInput
from tests.convert import hf


def test_a_copied_head_is_dropped_and_said(tmp_path):
    weights = hf.weights(hf.TIED)
    head = {"lm_head.weight": weights["model.embed_tokens.weight"].copy()}
    hf.write(tmp_path / "src", hf.TIED, weights | head)
    note, _ = from_hf(tmp_path / "src", tmp_path / "ckpt")
    assert "lm_head.weight is a copy" in note
    to_hf(tmp_path / "ckpt", tmp_path / "dst")
    hf.assert_same_bits(hf.read_weights(tmp_path / "dst"), weights)
    head["lm_head.weight"][7, 3] += 1
    hf.write(tmp_path / "src", hf.TIED, weights | head)
    with pytest.raises(BadInput, match=r"lm_head\.weight differs from model\.embed_tokens"):
        from_hf(tmp_path / "src", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("config", [hf.TIED, hf.UNTIED])
@pytest.mark.parametrize(
    "prefixes", [Prefixes("", ""), Prefixes("language_model."), Prefixes("module._orig_mod.")]
)
def test_prefixes_are_read_and_said(tmp_path, config, prefixes):
    weights = hf.weights(config)
    table = weights["model.embed_tokens.weight"]
    # A copied head has the prefix too.
    held = weights if not config.tied_embeddings else weights | {"lm_head.weight": table.copy()}
    hf.write(
        tmp_path / "src",
        config,
        {prefixes.file_name(name): a for name, a in held.items()},
        shards=2,
    )
    notes = from_hf(tmp_path / "src", tmp_path / "ckpt")
    assert f"{tmp_path / 'src'}: {prefixes.note()}" in notes
    to_hf(tmp_path / "ckpt", tmp_path / "dst")
    hf.assert_same_bits(hf.read_weights(tmp_path / "dst"), weights)


def test_a_prefix_of_some_tensors_only(tmp_path):
    weights = hf.weights(hf.TIED)
    weights["language_model.model.norm.weight"] = weights.pop("model.norm.weight")
    hf.write(tmp_path / "src", hf.TIED, weights)
    with pytest.raises(
        BadInput,
        match=r"1 missing: model\.norm\.weight; 1 unexpected: language_model\.model\.norm\.weight$",
    ):
        from_hf(tmp_path / "src", tmp_path / "ckpt")


def test_links_as_in_the_hub_cache(tmp_path):
    weights = hf.write(tmp_path / "models--a--b" / "blobs", hf.TIED)
    snapshot = tmp_path / "models--a--b" / "snapshots" / "1a2b"
    snapshot.mkdir(parents=True)
    for file in (tmp_path / "models--a--b" / "blobs").iterdir():
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    from_hf(snapshot, tmp_path / "ckpt")
    shutil.rmtree(tmp_path / "models--a--b")
    to_hf(tmp_path / "ckpt", tmp_path / "dst")
    hf.assert_same_bits(hf.read_weights(tmp_path / "dst"), weights)
    assert not any(p.is_symlink() for p in (tmp_path / "dst").iterdir())


LINKS = ["config.json", "generation_config.json", "chat_template.jinja", "model.safetensors"]
LINKS += ["tokenizer.json", "additional_chat_templates/tools.jinja"]


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_of_the_directory_is_refused(tmp_path, name, kind):
    src = tmp_path / "src"
    hf.write(src, hf.TIED)
    (src / "additional_chat_templates").mkdir()
    path, secret = src / name, tmp_path / "secret"
    if path.exists():
        path.rename(secret)
    else:
        secret.write_text(hf.tokenizer_json(20))
    if kind == "link":
        path.symlink_to(secret)
    else:
        os.mkfifo(path)
    says = {"link": "leads out of the directory", "pipe": "is a link to nothing, or no file"}[kind]
    with pytest.raises(BadInput, match=f"{name} {says}"):
        from_hf(src, tmp_path / "ckpt")
    assert {p.name for p in tmp_path.iterdir()} == {"src", "secret"}


@pytest.mark.parametrize("dst", ["hf://org/name", Path("hf://org/name")])
def test_a_destination_on_the_hub_is_refused(tmp_path, monkeypatch, dst):
    monkeypatch.chdir(tmp_path)
    hf.write(tmp_path / "src", hf.TIED)
    with pytest.raises(BadInput, match="is on the Hub: name a local directory"):
        from_hf("src", dst)
    assert [p.name for p in tmp_path.iterdir()] == ["src"]


def test_a_destination_that_orbax_takes_for_a_pattern_is_named(tmp_path):
    hf.write(tmp_path / "src", hf.TIED)
    with pytest.raises(BadInput) as error:
        from_hf(tmp_path / "src", tmp_path / "out[1]")
    assert str(error.value).startswith(f"{tmp_path / 'out[1]'}: checkpoints cannot lie under")


def test_the_destination_may_lie_in_the_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hf.write(tmp_path / "src", hf.TIED)
    assert from_hf("src", "src/ckpt") == [f"src: {hf.ODD_NOTE}"]  # which is not left behind


def bad(name, message, **kwargs):
    return pytest.param(name, message, id=name, **kwargs)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        bad("no directory", "does not exist"),
        bad("no config", "config.json does not exist"),
        bad("no weights", "holds no weights"),
        bad("truncated", r"model\.safetensors: truncated"),
        bad("other architecture", "LlamaForCausalLM"),
        bad("missing tensor", r"1 missing: model\.norm\.weight"),
        bad("wrong shape", "mis-shaped: model.embed_tokens.weight"),
        bad("mixed layers", r"of another dtype than layer 0: model\.layers\.1\.mlp\.up_proj"),
        bad("large tokenizer", "has token id 131, but the model's vocab_size is 131"),
        bad("broken tokenizer", "tokenizer.json: not a readable tokenizer"),
        bad("integer weights", "is stored as 'I32'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, damage, message):
    src = tmp_path / "src"
    weights = hf.write(src, hf.TIED)
    match damage:
        case "no directory":
            shutil.rmtree(src)
        case "no config":
            (src / "config.json").unlink()
        case "no weights":
            (src / "model.safetensors").unlink()
        case "truncated":
            content = (src / "model.safetensors").read_bytes()
            (src / "model.safetensors").write_bytes(content[:-7])
        case "other architecture":
            hf.edit_config(src, architectures=["LlamaForCausalLM"], model_type="llama")
        case "missing tensor":
            del weights["model.norm.weight"]
            hf.write_weights(src, weights)
        case "wrong shape":
            hf.edit_config(src, hidden_size=18)
        case "mixed layers":
            name = "model.layers.1.mlp.up_proj.weight"
            hf.write_weights(src, weights | {name: weights[name].astype(np.float32)})
        case "large tokenizer":
            (src / "tokenizer.json").write_text(hf.tokenizer_json(132))
        case "broken tokenizer":
            (src / "tokenizer.json").write_text("{")
        case "integer weights":
            hf.write_weights(src, weights | {"model.norm.weight": np.zeros(16, np.int32)})
    before = hf.snapshot(tmp_path)
    with pytest.raises(BadInput, match=message) as error:
        from_hf(src, tmp_path / "ckpt")
    assert "\n" not in str(error.value)
    assert hf.snapshot(tmp_path) == before


def test_all_that_is_wrong_with_the_tensors_is_one_message(tmp_path):
    src = tmp_path / "src"
    weights = hf.weights(hf.TIED)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"][:, :4].copy()
    weights["model.visual.proj.weight"] = weights.pop("model.layers.2.mlp.up_proj.weight")
    hf.write(src, hf.TIED, weights, shards=2)
    # A tensor that the index gives to one file lies in the other too.
    name = "model.norm.weight"
    for file in src.glob("*.safetensors"):
        hf.save_file(load_file(file) | {name: weights[name]}, file)
    with pytest.raises(BadInput) as error:
        from_hf(src, tmp_path / "ckpt")
    assert str(error.value) == (
        f"{src}: tensors do not fit the configuration; "
        "1 missing: model.layers.2.mlp.up_proj.weight; 1 unexpected: model.visual.proj.weight; "
        "1 duplicate: model.norm.weight; "
        "1 mis-shaped: lm_head.weight [131, 4] instead of [131, 16]"
    )


def test_a_tokenizer_that_just_fits(tmp_path):
    hf.write(tmp_path / "src", hf.TIED)
    (tmp_path / "src" / "tokenizer.json").write_text(hf.tokenizer_json(131))
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    to_hf(tmp_path / "ckpt", tmp_path / "dst")
    assert (tmp_path / "dst/tokenizer.json").read_text() == hf.tokenizer_json(131)


@pytest.mark.parametrize("shards", [1, 3])
def test_what_is_left_behind_is_said(tmp_path, shards):
    src = tmp_path / "src"
    hf.write(src, hf.TIED, shards=shards)
    assert from_hf(src, tmp_path / "all") == [f"{src}: {hf.ODD_NOTE}"]
    templates = src / "additional_chat_templates"
    templates.mkdir()
    (templates / "tools.jinja").write_bytes(b"{{ tools }}\r\n")
    (templates / "notes.txt").write_text("for whom it concerns")
    (src / "README.md").write_text("# A model")
    (src / "LICENSE").write_text("Apache-2.0")
    (src / "original").mkdir()
    _, note = from_hf(src, tmp_path / "ckpt")
    left = "LICENSE, README.md, additional_chat_templates/notes.txt, original"
    assert note == f"{src}: not carried along: {left}"
    assert to_hf(tmp_path / "ckpt", tmp_path / "dst") == [f"{tmp_path / 'ckpt'}: {hf.ODD_NOTE}"]
    written = {p.relative_to(tmp_path / "dst").as_posix() for p in hf.snapshot(tmp_path / "dst")}
    assert written == {
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "chat_template.jinja",
        "additional_chat_templates/tools.jinja",
    }
    name = "additional_chat_templates/tools.jinja"
    assert (tmp_path / "dst" / name).read_bytes() == b"{{ tools }}\r\n"
