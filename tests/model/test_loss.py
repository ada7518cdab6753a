import jax
import jax.numpy as jnp
import numpy as np
import pytest

from biomatrix_jax.model import token_loss

B, T, D, V = 3, 10, 8, 37


def whole_logits_loss(hidden, head, targets):
    """The textbook formula with every logit in memory."""
    log_probabilities = jax.nn.log_softmax(jnp.einsum("btd,vd->btv", hidden, head), axis=-1)
    return -jnp.take_along_axis(log_probabilities, targets[..., None], -1)[..., 0]


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((B, T, D), dtype=np.float32)
    head = rng.standard_normal((V, D), dtype=np.float32)
    weights = rng.random((B, T), dtype=np.float32)
    return hidden, head, rng.integers(0, V, (B, T), dtype=np.int32), weights


@pytest.mark.parametrize("chunk", [1, 3, 5, 10, 64])
def test_loss_and_gradients_are_the_textbook_ones(arrays, chunk):
    hidden, head, targets, weights = arrays

    def total(loss):
        return lambda hidden, head: (weights * loss(hidden, head)).sum()

    chunked = total(lambda x, w: token_loss(x, w, targets, chunk))
    plain = total(lambda x, w: whole_logits_loss(x, w, targets))
    np.testing.assert_allclose(
        token_loss(hidden, head, targets, chunk),
        whole_logits_loss(hidden, head, targets),
        rtol=2e-6,
        atol=2e-6,
    )
    ours = jax.grad(chunked, (0, 1))(hidden, head)
    theirs = jax.grad(plain, (0, 1))(hidden, head)
    for got, want in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-6)


def test_large_logits_neither_overflow_nor_lose_the_small_difference():
    hidden = jnp.full((1, 1, 1), 1.0)
    head = jnp.array([[2000.0], [1999.0]])
    loss = token_loss(hidden, head, jnp.zeros((1, 1), jnp.int32), 1)
    np.testing.assert_allclose(loss, np.log1p(np.exp(-1.0)), rtol=1e-4)


def test_the_whole_logits_appear_nowhere_in_the_program(arrays):
    hidden, head, targets, _ = arrays
    chunk = 2

    def loss(hidden, head):
        return token_loss(hidden, head, targets, chunk).sum()

    text = str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(hidden, head))
    assert f"[{B},{chunk},{V}]" in text  # one chunk's logits do, so the shapes below would show
    assert f"[{B},{T},{V}]" not in text
    assert f"[{T // chunk},{B},{chunk},{V}]" not in text


def test_bfloat16_hidden_states_get_a_float32_loss(arrays):
    hidden, head, targets, _ = arrays
    loss = token_loss(jnp.asarray(hidden, jnp.bfloat16), head, targets, 4)
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, whole_logits_loss(hidden, head, targets), atol=0.1)
    gradient = jax.grad(lambda w: token_loss(hidden, w, targets, 4).sum())(
        jnp.asarray(head, jnp.bfloat16)
    )
    assert gradient.dtype == jnp.bfloat16


def test_float32_products_are_asked_for_in_full_in_both_passes(arrays):
    """On a CPU they always are; on a GPU or TPU only where the program says so."""
    hidden, head, targets, _ = arrays

    def loss(hidden, head):
        return token_loss(hidden, head, targets, 4).sum()

    text = str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(hidden, head))
    assert text.count("dot_general") == text.count("precision=(Precision.HIGHEST") > 3
