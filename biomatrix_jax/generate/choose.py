"""Choosing the next token from logits: greedy, by temperature, from a nucleus.

Pure functions of one step. The decoding loop that calls them is `sampler`.
"""

import jax
import jax.numpy as jnp


def choose(
    logits_bv: jax.Array, keys_b: jax.Array, temperature: jax.Array, top_p: jax.Array
) -> jax.Array:
    """One token a row.

    Temperature and p are values, not constants of the program, so that trying others compiles
    nothing; the branch not taken is not computed.

    Args:
      logits_bv: float32 [B, V]; -inf where a token is impossible.
      keys_b: a random key a row [B]: a row's draw depends on no other row.
      temperature: float32 [], at least 0. 0 takes the most probable token, of equals the lowest id.
      top_p: float32 [], in (0, 1]; see `nucleus`. It applies to the tempered distribution.

    Returns:
      int32 [B].
    """

    def sampled():
        # The maximum goes first: then even the smallest temperature divides without overflow.
        shifted = logits_bv - jnp.max(logits_bv, axis=-1, keepdims=True)
        tempered = shifted / temperature
        # By its limit p keeps everything; a float32 running sum may reach 1 before the last token.
        kept = jax.lax.cond(top_p < 1, lambda: nucleus(tempered, top_p), lambda: tempered)
        return jax.vmap(jax.random.categorical)(keys_b, kept).astype(jnp.int32)

    def greedy():
        return jnp.argmax(logits_bv, axis=-1).astype(jnp.int32)

    # A denormal temperature may count as 0 in the division, and 0 / 0 is no number.
    return jax.lax.cond(temperature >= jnp.finfo(jnp.float32).tiny, sampled, greedy)


def nucleus(logits_bv: jax.Array, top_p: jax.Array) -> jax.Array:
    """The logits of the nucleus, -inf elsewhere (Holtzman et al. 2020, arXiv 1904.09751).

    The nucleus is the smallest set of most probable tokens whose probabilities sum to at least
    `top_p`. Of equally probable tokens the lower ids come first, so that it is smallest, and
    defined, with ties too.

    Args:
      logits_bv: float32 [B, V].
      top_p: float32 [], in (0, 1).
    """
    ids = jnp.arange(logits_bv.shape[-1], dtype=jnp.int32)
    order = jnp.argsort(-logits_bv, axis=-1, stable=True)
    descending = jnp.take_along_axis(logits_bv, order, axis=-1)
    probabilities = jax.nn.softmax(descending, axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    last = jnp.maximum(jnp.sum(before < top_p, axis=-1, keepdims=True) - 1, 0)
    # Kept is what sorts no later than the last one: compared, not scattered back into place.
    last_logit = jnp.take_along_axis(descending, last, axis=-1)
    last_id = jnp.take_along_axis(order, last, axis=-1)
    kept = (logits_bv > last_logit) | ((logits_bv == last_logit) & (ids <= last_id))
    return jnp.where(kept, logits_bv, -jnp.inf)
