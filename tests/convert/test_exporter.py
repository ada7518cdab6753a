"""Exports: casts, models born here, which step, and refusals."""

import json

import pytest

from biomatrix_jax.checkpoint import CheckpointStore
from biomatrix_jax.convert import hf_config, rules
from biomatrix_jax.convert.exporter import to_hf
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import base_tokenizer_path
from tests.convert import hf
from tests.model import cases


@pytest.mark.parametrize("form", [4, 5])
def test_a_cast_changes_values_and_the_dtype_key_only(tmp_path, form):
    weights = hf.weights(hf.TIED, "float32")
    hf.write(tmp_path / "src", hf.TIED, weights, form=form, dtype="float32")
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    to_hf(tmp_path / "ckpt", tmp_path / "dst", dtype="bfloat16")
    bfloat16 = hf.numpy_dtype("bfloat16")
    cast = {name: array.astype(bfloat16) for name, array in weights.items()}
    hf.assert_same_bits(hf.read_weights(tmp_path / "dst"), cast)
    before, after = (json.loads((tmp_path / d / "config.json").read_text()) for d in ("src", "dst"))
    key = "torch_dtype" if form == 4 else "dtype"
    assert after == before | {key: "bfloat16"}
    assert list(after) == list(before)


def test_a_cast_that_overflows_is_refused(tmp_path):
    weights = hf.weights(hf.TIED, "float32")
    weights["model.layers.2.mlp.down_proj.weight"][0, 0] = 1e5
    hf.write(tmp_path / "src", hf.TIED, weights, dtype="float32")
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    with pytest.raises(BadInput, match=r"layers\.2\.mlp\.down_proj\.weight has values too large"):
        to_hf(tmp_path / "ckpt", tmp_path / "dst", dtype="float16")
    assert [p.name for p in tmp_path.iterdir() if "dst" in p.name] == []


def test_a_dtype_key_that_was_wrong_stays(tmp_path):
    hf.write(tmp_path / "src", hf.TIED, hf.weights(hf.TIED, "float32"), dtype="bfloat16")
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    to_hf(tmp_path / "ckpt", tmp_path / "dst")
    assert (tmp_path / "dst/config.json").read_bytes() == (
        tmp_path / "src/config.json"
    ).read_bytes()


def born_here(directory, steps=(3,), tokenizer=True):
    """A checkpoint as training makes it: no config.json, a tokenizer, float32 parameters."""
    carried = base_tokenizer_path() if tokenizer else None
    size = 4096 if tokenizer else 131
    config = hf.ModelConfig(size, 16, 2, 4, 2, 8, 24, 5e5, 1e-6, True, 512)
    states = [rules.from_hf_tensors(config, cases.hf_weights(config, step)) for step in steps]
    with CheckpointStore.create(directory, config, carried=carried) as store:
        for step, state in zip(steps, states, strict=True):
            store.save(step, state)
    return config, states


def test_a_model_born_here_gets_its_configuration(tmp_path):
    config, (state,) = born_here(tmp_path / "ckpt")
    to_hf(tmp_path / "ckpt", tmp_path / "dst")
    content = json.loads((tmp_path / "dst" / "config.json").read_text())
    assert hf_config.to_model(content, "x") == config
    assert content["dtype"] == "float32"
    tokenizer = json.loads((base_tokenizer_path() / "tokenizer.json").read_text())
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    eos = json.loads((base_tokenizer_path() / "tokenizer_config.json").read_text())["eos_token"]
    assert content["eos_token_id"] == ids[eos]
    generation = json.loads((tmp_path / "dst" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == ids[eos]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        copied = (tmp_path / "dst" / name).read_bytes()
        assert copied == (base_tokenizer_path() / name).read_bytes()
    up = hf.read_weights(tmp_path / "dst")["model.layers.1.mlp.up_proj.weight"]
    assert up.tobytes() == state["layers.ffn.up"][1].tobytes()


def test_a_model_without_tokenizer(tmp_path):
    born_here(tmp_path / "ckpt", tokenizer=False)
    to_hf(tmp_path / "ckpt", tmp_path / "dst")
    names = {p.name for p in (tmp_path / "dst").iterdir()}
    assert names == {"config.json", "model.safetensors"}


def test_run_latest_step_or_the_step_named(tmp_path):
    _, (early, late) = born_here(tmp_path / "run" / "checkpoints", (5, 40))
    for path, state in (
        ("run", late),
        ("run/checkpoints", late),
        ("run/checkpoints/40", late),
        ("run/checkpoints/5", early),
    ):
        dst = tmp_path / f"out-{path.replace('/', '-')}"
        to_hf(tmp_path / path, dst)
        table = hf.read_weights(dst)["model.embed_tokens.weight"]
        assert table.tobytes() == state["embedding.table"].tobytes()


def test_bad_exports_write_nothing(tmp_path):
    hf.write(tmp_path / "src", hf.TIED)
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    before = hf.snapshot(tmp_path)
    for message, src, options in (
        ("neither a checkpoint nor a run", "src", {}),
        ("does not exist", "none", {}),
        ("holds no step 7", "ckpt/7", {}),
        ("shard size", "ckpt", {"shard_size": "x"}),
        ("dtype 'int8': known are", "ckpt", {"dtype": "int8"}),
    ):
        with pytest.raises(BadInput, match=message):
            to_hf(tmp_path / src, tmp_path / "dst", **options)
    assert hf.snapshot(tmp_path) == before
    (tmp_path / "ckpt/hf/tokenizer.json").write_text(hf.tokenizer_json(200))
    with pytest.raises(BadInput, match="token id 199"):
        to_hf(tmp_path / "ckpt", tmp_path / "dst")
    chunks = [p for p in (tmp_path / "ckpt/0/params").rglob("*") if p.is_file()]
    damaged = max(chunks, key=lambda p: p.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[:50])
    (tmp_path / "ckpt/hf/tokenizer.json").unlink()
    with pytest.raises(BadInput, match=damaged.name):
        to_hf(tmp_path / "ckpt", tmp_path / "dst")
    assert not (tmp_path / "dst").exists()


@pytest.mark.parametrize("name", ["config.json", "chat_template.jinja"])
def test_a_checkpoint_whose_files_are_links_is_refused(tmp_path, name):
    hf.write(tmp_path / "src", hf.TIED)
    from_hf(tmp_path / "src", tmp_path / "ckpt")
    (tmp_path / "ckpt/hf" / name).unlink()
    (tmp_path / "ckpt/hf" / name).symlink_to(tmp_path / "src" / name)
    with pytest.raises(BadInput, match=f"hf/{name} leads out of the directory"):
        to_hf(tmp_path / "ckpt", tmp_path / "dst")
    assert {p.name for p in tmp_path.iterdir()} == {"src", "ckpt"}
