"""The embedding's look-up where the table lies in pieces: no device ever has all of it.

Devices that share a table's D exchange their tokens, each looks its own columns up for all of them,
and the columns of a device's own tokens come back to it. The gradient goes the same way and is
summed up in float32 in the piece that it is of. Left to itself the compiler looks the tokens of the
whole batch up on every device, as soon as an axis splits the batch but not the table.
"""

from functools import partial

import jax
import jax.numpy as jnp

from biomatrix_jax.model.placement import Across, Placement


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def look_up(
    table_vd: jax.Array, tokens_bt: jax.Array, dtype: str, placement: Placement | None = None
) -> jax.Array:
    """The rows of a table.

    Args:
      table_vd: [V, D].
      tokens_bt: int32 [B, T]; an id outside [0, V) gives NaN, and no gradient.
      dtype: of the result.
      placement: where result and table lie; None: one device, or what the compiler makes of it.

    Returns:
      [B, T, D].
    """
    return _forward(table_vd, tokens_bt, dtype, placement)[0]


def _forward(table_vd, tokens_bt, dtype, placement):
    across = Across.of(placement)

    def local(table_vd, tokens_bt):
        rows, here = _own_rows(table_vd, _shared(tokens_bt, across), across)
        found_btd = jnp.where(here[..., None], table_vd[rows].astype(dtype), 0)
        if across.vocab:
            found_btd = jax.lax.psum(found_btd, across.vocab)
        if across.embed:
            found_btd = jax.lax.all_to_all(found_btd, across.embed, 0, 2, tiled=True)
        known = (tokens_bt >= 0) & (tokens_bt < vocab_size)
        return jnp.where(known[..., None], found_btd, jnp.nan)

    vocab_size = len(table_vd)
    hidden, table, tokens = across.specs
    found_btd = across.map(local, (table, tokens), hidden)(table_vd, tokens_bt)
    return found_btd, (table_vd, tokens_bt)


def _backward(dtype, placement, saved, gradient_btd):
    across = Across.of(placement)

    def local(table_vd, tokens_bt, gradient_btd):
        tokens = tokens_bt.reshape(1, -1)
        shares = gradient_btd.reshape(1, -1, gradient_btd.shape[-1])
        if across.embed:
            # A TPU adds rows up in the order of their numbers. Here each device sorts its own
            # tokens; left to the compiler, each would sort those of all that share the table. In
            # one dimension, which compiles in a quarter of the time.
            unsorted = tokens[0], jnp.arange(tokens.size, dtype=jnp.int32)
            tokens, order = jax.lax.sort(unsorted, num_keys=1, is_stable=False)
            # [tokens] of this device -> [devices, tokens] of all that share the table.
            tokens = _shared(tokens[None], across)
            shares = jax.lax.all_to_all(shares[:, order], across.embed, 2, 0, tiled=True)
        rows, here = _own_rows(table_vd, tokens, across)
        shares = jnp.where(here[..., None], shares, 0).astype(jnp.float32)

        def add(sums_vd, of_device):
            rows, shares = of_device
            return sums_vd.at[rows].add(shares, indices_are_sorted=bool(across.embed)), None

        zeros_vd = jnp.zeros(table_vd.shape, jnp.float32)
        sums_vd, _ = jax.lax.scan(add, zeros_vd, (rows, shares))
        rest = tuple(axis for axis in across.batch + across.length if axis not in across.embed)
        return (jax.lax.psum(sums_vd, rest) if rest else sums_vd).astype(table_vd.dtype)

    hidden, table, tokens = across.specs
    return across.map(local, (table, tokens, hidden), table)(*saved, gradient_btd), None


look_up.defvjp(_forward, _backward)


def _shared(tokens_bt, across):
    """The tokens of all devices that share the table's D, in the order of its pieces."""
    if not across.embed:
        return tokens_bt
    return jax.lax.all_gather(tokens_bt, across.embed, axis=0, tiled=True)


def _own_rows(table_vd, tokens_bt, across):
    """-> (numbers of rows of this device's piece, in the order of the tokens; which are meant)."""
    first = jax.lax.axis_index(across.vocab) * len(table_vd) if across.vocab else 0
    last = first + len(table_vd) - 1
    here = (tokens_bt >= first) & (tokens_bt <= last)
    return jnp.clip(tokens_bt, first, last) - first, here
