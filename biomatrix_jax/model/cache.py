"""Keys and values already computed, for generation one token at a time."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from biomatrix_jax.config import ModelConfig


class Cache(NamedTuple):
    """Slots for `S` tokens a row, filled from the left; slot and position need not agree.

    Prompts of different lengths are padded on the right, so a row's slots can have holes. Segment
    0 marks a slot that holds nothing to attend to.
    """

    k: jax.Array  # [L, B, S, K, H]
    v: jax.Array  # [L, B, S, K, H]
    segments: jax.Array  # int32 [B, S]
    positions: jax.Array  # int32 [B, S]
    used: jax.Array  # int32 [], slots filled in every row

    @classmethod
    def empty(cls, config: ModelConfig, batch: int, slots: int, dtype) -> "Cache":
        shape = (config.layers, batch, slots, config.kv_heads, config.head_dim)
        marks = jnp.zeros((batch, slots), jnp.int32)
        return cls(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), marks, marks, jnp.int32(0))

    def pin(self, constrain: Callable[[jax.Array, tuple[str, ...]], jax.Array]) -> "Cache":
        """Pinned to a mesh: rows and heads split as the rules say, slots together."""
        axes = ("layers", "batch", "kv_length", "act_kv_heads", "head_dim")
        marks = ("batch", "kv_length")
        return self._replace(
            k=constrain(self.k, axes),
            v=constrain(self.v, axes),
            segments=constrain(self.segments, marks),
            positions=constrain(self.positions, marks),
        )

    def write(self, layer: jax.Array, k_btkh: jax.Array, v_btkh: jax.Array) -> "Cache":
        """With the keys and values of the next T tokens in one layer's free slots.

        `used` stays: it moves once all layers have written.
        """
        start = (layer, 0, self.used, 0, 0)

        def put(into, new):
            return jax.lax.dynamic_update_slice(into, new[None].astype(into.dtype), start)

        return self._replace(k=put(self.k, k_btkh), v=put(self.v, v_btkh))
