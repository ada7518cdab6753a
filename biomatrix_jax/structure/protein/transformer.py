"""The transformer of GCP-VQVAE, over the residues of padded chains; encoder and decoder have one.

Its attention compares directions: queries and keys have length 1, and their product times 10 is the
logit. Shape letters: B batch, L and M residues that ask and answer, D width, N query heads, K
key/value heads, H head dim, F feed-forward.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from biomatrix_jax.model.decoder import rotary_frequencies
from biomatrix_jax.model.products import product
from biomatrix_jax.structure.protein.config import (
    FFN_MULTIPLE,
    HEAD_DIM,
    ROTARY_DIM,
    TransformerConfig,
)
from biomatrix_jax.structure.protein.layers import (
    WHOLE,
    Linear,
    declare,
    run,
    stacked,
    standardised,
)

LOGIT_SCALE = 10.0
ROTARY_BASE = 10_000.0


class OffsetNorm(nnx.Module):
    """LayerNorm without bias, whose scale is stored as what it differs from 1 by."""

    def __init__(self, size: int, rngs: nnx.Rngs, *, stack: int | None = None):
        shape, axes = stacked(stack, (size,), (WHOLE,))
        self.gamma = nnx.Param(jnp.zeros(shape), axes=axes)

    def __call__(self, x: jax.Array) -> jax.Array:
        return standardised(x) * (1 + self.gamma[...])


class Attention(nnx.Module):
    """Every residue that counts to every other; all layers stacked."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        N, K, H, D = config.heads, config.kv_heads, HEAD_DIM, config.embed_dim
        stack, bound = config.layers, D**-0.5
        self.q = declare(rngs, stack, (N, H, D), ("heads", "head_dim", "embed"), bound)
        self.k = declare(rngs, stack, (K, H, D), ("kv_heads", "head_dim", "embed"), bound)
        self.v = declare(rngs, stack, (K, H, D), ("kv_heads", "head_dim", "embed"), bound)
        self.o = declare(
            rngs, stack, (D, N, H), ("embed", "heads", "head_dim"), (N * H) ** -0.5
        )  # fmt: skip

    def __call__(self, x_bld: jax.Array, mask_bl: jax.Array, rotary) -> jax.Array:
        """0 where `mask_bl` is false; what stands there in `x_bld` reaches no other residue."""
        q = rotate(unit(multiplied(x_bld, self.q[...])), rotary)
        k = rotate(unit(multiplied(x_bld, self.k[...])), rotary)
        v = multiplied(x_bld, self.v[...])
        B, L, N, H = q.shape
        # Query head n asks key head n mod K.
        q = q.reshape(B, L, N // k.shape[2], k.shape[2], H)
        logits = LOGIT_SCALE * product("blgkh,bmkh->bgklm", q, k)
        # Not minus infinity: a row without any residue would be NaN.
        logits = jnp.where(mask_bl[:, None, None, None, :], logits, jnp.finfo(jnp.float32).min)
        out = product("bgklm,bmkh->blgkh", jax.nn.softmax(logits, axis=-1), v)
        out = multiplied(out.reshape(B, L, N * H), self.o[...].reshape(-1, N * H))
        return jnp.where(mask_bl[..., None], out, 0.0)


class FeedForward(nnx.Module):
    """SwiGLU: down(value * silu(gate)); all layers stacked."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        D, F = config.embed_dim, FFN_MULTIPLE * config.embed_dim
        stack = config.layers
        # Value and gate on an axis of their own, so that `ffn` can be split without parting them.
        self.up = declare(rngs, stack, (2, F, D), (WHOLE, "ffn", "embed"), D**-0.5)
        self.up_bias = declare(rngs, stack, (2, F), (WHOLE, "ffn"), D**-0.5)
        self.down = declare(rngs, stack, (D, F), ("embed", "ffn"), F**-0.5)

    def __call__(self, x_bld: jax.Array) -> jax.Array:
        up = multiplied(x_bld, self.up[...]) + self.up_bias[...]
        value, gate = up[:, :, 0], up[:, :, 1]
        return product("blf,df->bld", value * jax.nn.silu(gate), self.down[...])


class Layer(nnx.Module):
    """Pre-norm attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        self.attention_norm = OffsetNorm(config.embed_dim, rngs, stack=config.layers)
        self.attention = Attention(config, rngs)
        self.ffn_norm = OffsetNorm(config.embed_dim, rngs, stack=config.layers)
        self.ffn = FeedForward(config, rngs)

    def __call__(self, x_bld: jax.Array, mask_bl: jax.Array, rotary) -> jax.Array:
        x_bld = x_bld + self.attention(self.attention_norm(x_bld), mask_bl, rotary)
        return x_bld + self.ffn(self.ffn_norm(x_bld))


class Transformer(nnx.Module):
    """[B, L, D] -> [B, L, D]; positions count from each row's start.

    `mask_bl`, bool, are the residues that count; the results of the others mean nothing.
    """

    def __init__(self, config: TransformerConfig, rngs: nnx.Rngs):
        D = config.embed_dim
        self.project_in = Linear(D, D, rngs, axes=(WHOLE, "embed"), bias=False)
        self.layers = Layer(config, rngs)
        self.final_norm = OffsetNorm(D, rngs)
        self.project_out = Linear(D, D, rngs, axes=(WHOLE, "embed"), bias=False)

    def __call__(self, x_bld: jax.Array, mask_bl: jax.Array) -> jax.Array:
        rotary = rotary_angles(x_bld.shape[1])
        x_bld = run(
            self.layers, self.project_in(x_bld), lambda layer, x: layer(x, mask_bl, rotary)
        )  # fmt: skip
        return self.project_out(self.final_norm(x_bld))


def multiplied(x_bld: jax.Array, weight: jax.Array) -> jax.Array:
    """[B, L, D] and [..., D] -> [B, L, ...].

    As one product of two matrices: XLA on a CPU transposes a weight of more axes in memory first,
    each time, which for a short chain takes longer than the product.
    """
    out = product("bld,od->blo", x_bld, weight.reshape(-1, weight.shape[-1]))
    return out.reshape(*out.shape[:2], *weight.shape[:-1])


def unit(x: jax.Array) -> jax.Array:
    """To length 1 over the last axis; 0 stays 0."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, axis=-1, keepdims=True), 1e-24))


def rotary_angles(length: int) -> tuple[jax.Array, jax.Array]:
    """cos and sin of RoPE's angles at each position, float32 [L, 1, ROTARY_DIM / 2]."""
    positions = jnp.arange(length, dtype=jnp.float32)
    angles = positions[:, None, None] * rotary_frequencies(ROTARY_DIM, ROTARY_BASE)
    return jnp.cos(angles), jnp.sin(angles)


def rotate(x_blnh: jax.Array, rotary: tuple[jax.Array, jax.Array]) -> jax.Array:
    """RoPE on the first ROTARY_DIM dimensions, of which two neighbours make a pair."""
    cos, sin = rotary
    turned, kept = x_blnh[..., :ROTARY_DIM], x_blnh[..., ROTARY_DIM:]
    even, odd = turned[..., 0::2], turned[..., 1::2]
    turned = jnp.stack([even * cos - odd * sin, odd * cos + even * sin], axis=-1)
    return jnp.concatenate([turned.reshape(*even.shape[:-1], ROTARY_DIM), kept], axis=-1)
