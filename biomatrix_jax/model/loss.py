"""Cross-entropy over a large vocabulary, without the logits ever existing whole."""

from functools import partial

import jax
import jax.numpy as jnp

from biomatrix_jax.model.products import product


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def token_loss(
    hidden_btd: jax.Array, head_vd: jax.Array, targets_bt: jax.Array, chunk: int
) -> jax.Array:
    """Negative log-likelihood of each target, nats.

    The logits of `chunk` tokens of each row exist at a time, in the forward and again in the
    backward pass, which recomputes them from the saved log-sum-exp. Chunks run along T, so that a
    batch sharded over devices stays where it is.

    Args:
      hidden_btd: [B, T, D].
      head_vd: [V, D]; matrix products run in the dtype of `hidden_btd`, accumulated in float32.
      targets_bt: int32 [B, T], each in [0, V).
      chunk: tokens of a row at a time; a T that it does not divide is padded.

    Returns:
      float32 [B, T].
    """
    return _forward(hidden_btd, head_vd, targets_bt, chunk)[0]


def _forward(hidden_btd, head_vd, targets_bt, chunk):
    head = head_vd.astype(hidden_btd.dtype)

    def body(_, xs):
        hidden, targets = xs
        logits = _logits(hidden, head)
        log_sum = jax.nn.logsumexp(logits, axis=-1)
        picked = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        return None, (log_sum - picked, log_sum)

    _, (loss, log_sum) = jax.lax.scan(
        body, None, (_chunks(hidden_btd, chunk), _chunks(targets_bt, chunk))
    )
    length = targets_bt.shape[1]
    return _whole(loss, length), (hidden_btd, head_vd, targets_bt, _whole(log_sum, length))


def _backward(chunk, saved, gradient_bt):
    hidden_btd, head_vd, targets_bt, log_sum_bt = saved
    head = head_vd.astype(hidden_btd.dtype)

    def body(head_gradient, xs):
        hidden, targets, log_sum, gradient = xs
        softmax = jnp.exp(_logits(hidden, head) - log_sum[..., None])
        hot = jnp.arange(head.shape[0], dtype=jnp.int32) == targets[..., None]
        logits_gradient = ((softmax - hot) * gradient[..., None]).astype(hidden.dtype)
        head_gradient += product("bcv,bcd->vd", logits_gradient, hidden, dtype=jnp.float32)
        return head_gradient, product("bcv,vd->bcd", logits_gradient, head)

    arrays = (hidden_btd, targets_bt, log_sum_bt, gradient_bt)
    head_gradient, hidden_gradient = jax.lax.scan(
        body, jnp.zeros(head_vd.shape, jnp.float32), tuple(_chunks(a, chunk) for a in arrays)
    )
    hidden_gradient = _whole(hidden_gradient, targets_bt.shape[1])
    return hidden_gradient, head_gradient.astype(head_vd.dtype), None


token_loss.defvjp(_forward, _backward)


def _logits(hidden_bcd, head_vd):
    return product("bcd,vd->bcv", hidden_bcd, head_vd, dtype=jnp.float32)


def _chunks(x, chunk):
    """[B, T, ...] -> [T/chunk, B, chunk, ...], padded with zeros."""
    b, t = x.shape[:2]
    chunk = min(chunk, t)
    padding = -t % chunk
    x = jnp.pad(x, [(0, 0), (0, padding)] + [(0, 0)] * (x.ndim - 2))
    return jnp.moveaxis(x.reshape(b, -1, chunk, *x.shape[2:]), 1, 0)


def _whole(x, length):
    """[C, B, chunk, ...] -> [B, length, ...], undoing `_chunks`."""
    x = jnp.moveaxis(x, 0, 1)
    return x.reshape(x.shape[0], -1, *x.shape[3:])[:, :length]
