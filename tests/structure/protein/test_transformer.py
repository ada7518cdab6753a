import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from biomatrix_jax.structure.protein import transformer
from biomatrix_jax.structure.protein.config import TransformerConfig
from biomatrix_jax.structure.protein.transformer import Attention, Transformer
from tests.structure.protein.conftest import layer

WIDTH, LENGTH = 8, 6


def mask_of(worked) -> np.ndarray:
    return (worked["masks"] & worked["nan_masks"])[None]


@nnx.jit
def stages(stack: Transformer, x: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
    """What the worked examples have of each step, by their names without enc_ or dec_."""
    rotary = transformer.rotary_angles(x.shape[1])
    x = stack.project_in(x)
    found = {"project_in": x}
    for i in range(2):
        block = layer(stack.layers, i)
        found[f"sub{2 * i}_attn"] = block.attention(block.attention_norm(x), mask, rotary)
        x = x + found[f"sub{2 * i}_attn"]
        found[f"sub{2 * i}_residual"] = x
        found[f"sub{2 * i + 1}_ff"] = block.ffn(block.ffn_norm(x))
        x = x + found[f"sub{2 * i + 1}_ff"]
        found[f"sub{2 * i + 1}_residual"] = x
    found["final_norm"] = stack.final_norm(x)
    return found


@pytest.mark.parametrize(
    ("name", "start"), [("encoder", "enc_tail"), ("decoder", "dec_projector_in")]
)
def test_every_stage_of_the_worked_examples(model, worked, name, start):
    stack, prefix, mask = getattr(model, name), name[:3], mask_of(worked)
    found = stages(stack, worked[start][None], mask)
    named = {key for key in worked if key.startswith(f"{prefix}_")}
    assert {f"{prefix}_{key}" for key in found} == named - {start, f"{prefix}_project_out"}
    # The scan over layers is the layers in turn.
    found["project_out"] = nnx.jit(lambda s, *x: s(*x))(stack, worked[start][None], mask)
    for key, array in found.items():
        # Rows of padding, too: the original computes them alike.
        np.testing.assert_allclose(
            array[0], worked[f"{prefix}_{key}"], atol=2e-5, rtol=0, err_msg=key
        )


def attention(heads: int, kv_heads: int) -> Attention:
    config = TransformerConfig(embed_dim=WIDTH, layers=1, heads=heads, kv_heads=kv_heads)
    return layer(Attention(config, nnx.Rngs(0)), 0)


def random_input(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, LENGTH, WIDTH)).astype(np.float32)


call = nnx.jit(lambda module, x, mask: module(x, mask, transformer.rotary_angles(x.shape[1])))


def test_attention_by_hand():
    """Six query heads, three of keys; in numpy, pairs turned as complex numbers."""
    module, x = attention(6, 3), random_input()
    mask = np.array([[True, True, False, True, True, False]])
    q, k, v, o = (np.asarray(w[...], np.float64) for w in (module.q, module.k, module.v, module.o))
    angles = np.outer(np.arange(LENGTH), 10_000.0 ** -(np.arange(16) / 16))

    def turned(y):
        y = y / np.linalg.norm(y, axis=-1, keepdims=True)
        pairs = (y[:, 0:32:2] + 1j * y[:, 1:32:2]) * np.exp(1j * angles)
        y[:, 0:32:2], y[:, 1:32:2] = pairs.real, pairs.imag
        return y

    expected = np.zeros((LENGTH, WIDTH))
    for n in range(6):
        logits = 10 * turned(x[0] @ q[n].T) @ turned(x[0] @ k[n % 3].T).T
        weights = np.exp(logits) * mask[0]
        heads = weights / weights.sum(axis=1, keepdims=True) @ (x[0] @ v[n % 3].T)
        expected += heads @ o[:, n].T
    expected *= mask[0][:, None]
    np.testing.assert_allclose(call(module, x, mask)[0], expected, atol=1e-5)


def test_masked_residues_reach_nobody():
    module, x = attention(2, 1), random_input()
    mask = np.array([[True, True, False, True, True, False]])
    found = np.asarray(call(module, x, mask))
    assert not found[0, [2, 5]].any()
    x[0, [2, 5]] = 1e3
    np.testing.assert_array_equal(call(module, x, mask), found)


def test_a_chain_without_any_residue_is_no_nan():
    found = call(attention(2, 1), random_input(), np.zeros((1, LENGTH), bool))
    assert not np.asarray(found).any()


def test_only_distances_matter_to_turned_pairs():
    random = np.random.default_rng(0)
    q, k = random.normal(size=(2, 64)).astype(np.float32)
    rotary = transformer.rotary_angles(40)

    def logit(at_q: int, at_k: int) -> float:
        rows = (np.tile(y, (1, 40, 1, 1)) for y in (q, k))
        turned_q, turned_k = (np.asarray(transformer.rotate(y, rotary)) for y in rows)
        return float(turned_q[0, at_q, 0] @ turned_k[0, at_k, 0])

    assert logit(7, 2) == pytest.approx(logit(36, 31), abs=1e-4)
    assert abs(logit(7, 2) - logit(2, 7)) > 1e-2
    turned = np.asarray(transformer.rotate(np.tile(q, (1, 40, 1, 1)), rotary))
    np.testing.assert_array_equal(turned[0, :, 0, 32:], np.tile(q[32:], (40, 1)))


def test_feed_forward_multiplies_the_first_half_by_the_gated_second():
    config = TransformerConfig(embed_dim=WIDTH, layers=1, heads=1, kv_heads=1)
    module, x = layer(transformer.FeedForward(config, nnx.Rngs(0)), 0), random_input()[0]
    up = np.asarray(module.up[...], np.float64).reshape(-1, WIDTH)  # as it is in the files
    hidden = x @ up.T + np.asarray(module.up_bias[...]).reshape(-1)
    value, gate = hidden[:, : 4 * WIDTH], hidden[:, 4 * WIDTH :]
    expected = value * gate / (1 + np.exp(-gate)) @ np.asarray(module.down[...], np.float64).T
    np.testing.assert_allclose(module(jnp.asarray(x[None]))[0], expected, atol=1e-5)


def test_the_norms_scale_is_one_more_than_what_is_stored():
    norm = transformer.OffsetNorm(3, nnx.Rngs(0))
    norm.gamma[...] = jnp.array([0.0, 1.0, -1.0])
    expected = (np.array([1, 2, 6]) - 3) / np.sqrt(14 / 3) * [1, 2, 0]
    np.testing.assert_allclose(norm(jnp.array([1.0, 2.0, 6.0])), expected, atol=1e-5)
