"""Cross-entropy over a large vocabulary, without the logits ever existing whole."""

from functools import partial

import jax
import jax.numpy as jnp

from biomatrix_jax.model.placement import Across, Placement
from biomatrix_jax.model.products import product


@partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def token_loss(
    hidden_btd: jax.Array,
    head_vd: jax.Array,
    targets_bt: jax.Array,
    chunk: int,
    vocab_tile: int,
    placement: Placement | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Negative log-likelihood of each target, and the logarithm of its normaliser, both in nats.

    The logits of `chunk` tokens of each row and `vocab_tile` rows of the head exist at a time, in
    the forward and again in the backward pass, which recomputes them from the saved log Z. Chunks
    run along T, so that a batch sharded over devices stays where it is. Tiles are the outer loop:
    with a `placement` each is gathered over the axes that split D, used for all tokens and
    released, and its gradient is summed over devices once and scattered at once.

    Args:
      hidden_btd: [B, T, D].
      head_vd: [V, D]; matrix products run in the dtype of `hidden_btd`, accumulated in float32.
      targets_bt: int32 [B, T], each in [0, V).
      chunk: tokens of a row at a time; a T that it does not divide is padded.
      vocab_tile: rows of the head at a time, of a device's own where V is split.
      placement: None: one device, or what the compiler makes of it.

    Returns:
      float32 [B, T] each: log Z - the target's logit, and log Z, where Z is the sum of exp of all
      logits (whose square PaLM, section 5, adds to the loss).
    """
    return _forward(hidden_btd, head_vd, targets_bt, chunk, vocab_tile, placement)[0]


# Both passes are mapped over devices by hand and never differentiated through: so it is said here,
# not guessed by the compiler, that a tile's gradient stays a device's own until all its tokens are
# in it. Left to itself the compiler sums it over devices after each chunk.
def _forward(hidden_btd, head_vd, targets_bt, chunk, tile, placement):
    across = Across.of(placement)

    def local(hidden_btd, head_vd, targets_bt):
        hidden, targets = _chunks(hidden_btd, chunk), _chunks(targets_bt, chunk)

        def of_tile(state, index):
            head, rows = _tile(head_vd, index, tile, hidden.dtype, across)

            def of_chunk(_, xs):
                hidden, targets, largest, total, picked = xs
                hit = rows == targets[..., None]
                logits = jnp.where(rows >= 0, _logits(hidden, head), -jnp.inf)
                new = jnp.maximum(largest, logits.max(-1))
                total = total * jnp.exp(largest - new) + jnp.exp(logits - new[..., None]).sum(-1)
                return None, (new, total, picked + jnp.where(hit, logits, 0).sum(-1))

            return jax.lax.scan(of_chunk, None, (hidden, targets, *state))[1], None

        zero = jnp.zeros(targets.shape, jnp.float32)
        (largest, total, picked), _ = jax.lax.scan(
            of_tile, (zero - jnp.inf, zero, zero), _tile_numbers(head_vd, tile)
        )
        if across.vocab:
            own, largest = largest, jax.lax.pmax(largest, across.vocab)
            total, picked = jax.lax.psum((total * jnp.exp(own - largest), picked), across.vocab)
        log_sum = largest + jnp.log(total)
        length = targets_bt.shape[1]
        return _whole(log_sum - picked, length), _whole(log_sum, length)

    hidden, head, tokens = across.specs
    loss, log_sum = across.map(local, (hidden, head, tokens), (tokens, tokens))(
        hidden_btd, head_vd, targets_bt
    )
    return (loss, log_sum), (hidden_btd, head_vd, targets_bt, log_sum)


def _backward(chunk, tile, placement, saved, gradients_bt):
    across = Across.of(placement)

    def local(hidden_btd, head_vd, *of_tokens_bt):
        hiddens = _chunks(hidden_btd, chunk)
        of_tokens = tuple(_chunks(a, chunk) for a in of_tokens_bt)
        numbers = jnp.arange(len(hiddens))

        def of_tile(gradients, index):
            hidden_gradient, head_gradient = gradients
            head, rows = _tile(head_vd, index, tile, hiddens.dtype, across)

            def of_chunk(gradients, xs):
                hidden_gradient, tile_gradient = gradients
                number, hidden, *of_tokens = xs
                # A row that the tile before had already has no share in this one.
                share = _logits_gradient(_logits(hidden, head), rows, *of_tokens)
                share = jnp.where(rows >= 0, share, 0).astype(hidden.dtype)
                tile_gradient += product("bcv,bcd->vd", share, hidden, dtype=jnp.float32)
                more = product("bcv,vd->bcd", share, head, dtype=jnp.float32)
                return (hidden_gradient.at[number].add(more), tile_gradient), None

            (hidden_gradient, tile_gradient), _ = jax.lax.scan(
                of_chunk,
                (hidden_gradient, jnp.zeros(head.shape, jnp.float32)),
                (numbers, hiddens, *of_tokens),
            )
            tile_gradient = across.reduce(tile_gradient).astype(head_gradient.dtype)
            start = _start(head_vd, index, tile)
            tile_gradient += jax.lax.dynamic_slice_in_dim(head_gradient, start, len(head))
            head_gradient = jax.lax.dynamic_update_slice(head_gradient, tile_gradient, (start, 0))
            return (hidden_gradient, head_gradient), None

        (hidden_gradient, head_gradient), _ = jax.lax.scan(
            of_tile,
            (jnp.zeros(hiddens.shape, jnp.float32), jnp.zeros_like(head_vd)),
            _tile_numbers(head_vd, tile),
        )
        if across.vocab:
            hidden_gradient = jax.lax.psum(hidden_gradient, across.vocab)
        hidden_gradient = hidden_gradient.astype(hidden_btd.dtype)
        return _whole(hidden_gradient, hidden_btd.shape[1]), head_gradient

    hidden, head, tokens = across.specs
    hidden_gradient, head_gradient = across.map(
        local, (hidden, head, tokens, tokens, tokens, tokens), (hidden, head)
    )(*saved, *gradients_bt)
    return hidden_gradient, head_gradient, None


token_loss.defvjp(_forward, _backward)


def _tile_numbers(head_vd, tile):
    return jnp.arange(-(-len(head_vd) // tile), dtype=jnp.int32)


def _start(head_vd, index, tile):
    """First row of a tile; the last is moved up to be whole, which needs no padded copy."""
    return jnp.minimum(index * tile, max(len(head_vd) - tile, 0))


def _tile(head_vd, index, tile, dtype, across):
    """-> the tile [tile, D] from all devices, and the numbers of its rows in V [tile].

    Rows that the tile before had too have the number -1.
    """
    start, size = _start(head_vd, index, tile), min(tile, len(head_vd))
    head = across.gather(jax.lax.dynamic_slice_in_dim(head_vd, start, size).astype(dtype))
    rows = start + jnp.arange(size, dtype=jnp.int32)
    first = jax.lax.axis_index(across.vocab) * len(head_vd) if across.vocab else 0
    return head, jnp.where(rows >= index * tile, first + rows, -1)


def _logits(hidden_bcd, head_vd):
    return product("bcd,vd->bcv", hidden_bcd, head_vd, dtype=jnp.float32)


def _logits_gradient(logits, rows, targets, log_sum, gradient, log_sum_gradient):
    softmax = jnp.exp(logits - log_sum[..., None])
    hot = rows == targets[..., None]
    return softmax * (gradient + log_sum_gradient)[..., None] - hot * gradient[..., None]


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
