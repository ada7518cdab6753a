"""Exports read by transformers itself, and its own directories read by us."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import biomatrix_jax as bm
from biomatrix_jax.checkpoint import CheckpointStore
from biomatrix_jax.convert import rules
from biomatrix_jax.convert.exporter import to_hf
from biomatrix_jax.convert.importer import from_hf
from biomatrix_jax.convert.verify import verify
from tests.convert import hf
from tests.model import cases

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def their_logits(directory, tokens) -> np.ndarray:
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True
    )
    # A tied head need not be stored; anything else that is missing would be made up.
    assert set(info["missing_keys"]) <= {"lm_head.weight"}
    assert not info["unexpected_keys"]
    with torch.no_grad():
        return model(torch.tensor(np.asarray(tokens)).long()).logits.numpy()


@pytest.mark.parametrize("name", cases.CASES)
@pytest.mark.parametrize("shard_size", ["5GB", "50KB"])
def test_a_model_born_here_gives_the_same_logits_there(tmp_path, name, shard_size):
    config = cases.CASES[name]
    flat = rules.from_hf_tensors(config, cases.hf_weights(config))
    with CheckpointStore.create(tmp_path / "ckpt", config) as store:
        store.save(7, flat)
    to_hf(tmp_path / "ckpt", tmp_path / "hf", shard_size=shard_size)
    tokens = jnp.asarray(cases.tokens(config))
    ours = jax.jit(bm.load(tmp_path / "ckpt"))(tokens)
    assert np.abs(np.asarray(ours) - their_logits(tmp_path / "hf", tokens)).max() < 1e-4


@pytest.mark.parametrize("tied", [True, False])
def test_what_it_saves_comes_back_bit_for_bit(tmp_path, tied):
    theirs = transformers.Qwen3Config(
        vocab_size=131, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    )  # fmt: skip
    model = transformers.Qwen3ForCausalLM(theirs).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    from_hf(tmp_path / "theirs", tmp_path / "ckpt")
    to_hf(tmp_path / "ckpt", tmp_path / "back")
    assert verify(tmp_path / "theirs", tmp_path / "back").equal
    before, after = ((tmp_path / d / "config.json").read_bytes() for d in ("theirs", "back"))
    assert before == after
    tokens = jnp.arange(60).reshape(2, 30)
    ours = bm.load(tmp_path / "theirs", dtype="float32")(tokens)
    assert np.abs(np.asarray(ours) - their_logits(tmp_path / "back", tokens)).max() < 1e-4
    state = model.state_dict()
    for name, array in hf.read_weights(tmp_path / "back").items():
        assert array.tobytes() == state[name].view(torch.uint16).numpy().tobytes()
