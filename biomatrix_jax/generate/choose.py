"""Choosing the next token from logits: greedy, by temperature, from a nucleus.

Pure functions of one step. The decoding loop that calls them is `sampler`.
"""

import jax
import jax.numpy as jnp
import numpy as np


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
        # A p that counts as 0 in float32 would be reached by no token at all.
        p = jnp.maximum(top_p, jnp.finfo(jnp.float32).tiny)
        # By its limit p keeps everything; a float32 running sum may reach 1 before the last token.
        kept = jax.lax.cond(p < 1, lambda: nucleus(tempered, p), lambda: tempered)
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
      top_p: float32 [], in (0, 1), not denormal.
    """
    probabilities = jax.nn.softmax(logits_bv, axis=-1)
    # Floats that are not negative have the order of their bits, so that 30 halvings of the integers
    # up to 1.0 find the least probability of the nucleus exactly, without sorting a vocabulary.
    bits = jax.lax.bitcast_convert_type(probabilities, jnp.int32)
    one = np.float32(1).view(np.int32)

    def halve(_, between):
        low, high = between  # from `low` on probabilities reach `top_p`, from `high` on they do not
        middle = low + (high - low) // 2
        reaches = mass(bits >= middle) >= top_p
        return jnp.where(reaches, middle, low), jnp.where(reaches, high, middle)

    def mass(chosen):
        return jnp.sum(jnp.where(chosen, probabilities, 0), axis=-1, keepdims=True)

    start = jnp.zeros_like(bits[:, :1])
    least, _ = jax.lax.fori_loop(0, int(one).bit_length(), halve, (start, start + one + 1))
    more, equal = bits > least, bits == least
    # Of those with the least probability, only as many as it takes.
    before = mass(more) + (jnp.cumsum(equal, axis=-1) - equal) * probabilities
    return jnp.where(more | (equal & (before < top_p)), logits_bv, -jnp.inf)
