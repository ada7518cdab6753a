"""The Qwen3 decoder: RMSNorm, grouped-query attention with q/k norm, RoPE, SwiGLU, no biases.

Shape letters: B batch, T query length, S key length, L layers, N heads, K key/value heads, H head
dim, D embed, F feed-forward, V vocabulary. Reference for the function computed: `Qwen3ForCausalLM`
of transformers. Every layer's parameters are stacked on axis 0 and the layers run by `lax.scan`, so
that compile time and program size do not grow with depth.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.ad_checkpoint import checkpoint_name
from jax.experimental.layout import Layout, with_layout_constraint

from biomatrix_jax.config import ComputeConfig, ModelConfig
from biomatrix_jax.errors import BadInput
from biomatrix_jax.model.attention import Attend, Rows, reference
from biomatrix_jax.model.cache import Cache
from biomatrix_jax.model.embedding import look_up
from biomatrix_jax.model.narrow import layer_by_layer
from biomatrix_jax.model.parameters import parameter
from biomatrix_jax.model.placement import Placement
from biomatrix_jax.model.products import product
from biomatrix_jax.model.remat import PRODUCT, rematerialised

# Pins an activation to the mesh: (array, its logical axes) -> array. The model does not know what a
# mesh is; `biomatrix_jax.sharding` makes these.
Constrain = Callable[[jax.Array, tuple[str, ...]], jax.Array]


def unconstrained(x: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    return x


class RMSNorm(nnx.Module):
    """x / rms(x) * scale over the last axis, computed in float32."""

    def __init__(self, shape, axes, eps: float, compute: ComputeConfig, rngs: nnx.Rngs):
        self.scale = parameter(rngs, shape, axes, compute.param_dtype, init="ones")
        self.eps = eps

    def __call__(self, x: jax.Array) -> jax.Array:
        x32 = x.astype(jnp.float32)
        x32 = x32 * jax.lax.rsqrt(jnp.mean(x32 * x32, axis=-1, keepdims=True) + self.eps)
        # Back to the activation type before the scale, as the original does: in bfloat16 the
        # order decides the last bit.
        return _scaled(x32.astype(x.dtype), self.scale[...])


@jax.custom_vjp
def _scaled(x: jax.Array, scale: jax.Array) -> jax.Array:
    """x * scale over the last axis, in the type of x.

    The gradient of the scale is summed over tokens, and over devices, in float32, whatever the
    types are. Left to itself a TPU's compiler sums it over devices in one with the gradients of
    matrices, which takes longer to compile and more memory.
    """
    return x * scale.astype(x.dtype)


def _scaled_forward(x, scale):
    return _scaled(x, scale), (x, scale)


def _scaled_backward(saved, gradient):
    x, scale = saved
    of_scale = (gradient.astype(jnp.float32) * x.astype(jnp.float32)).sum(range(x.ndim - 1))
    return gradient * scale.astype(x.dtype), of_scale.astype(scale.dtype)


_scaled.defvjp(_scaled_forward, _scaled_backward)


def rotary_frequencies(head_dim: int, theta: float) -> np.ndarray:
    """RoPE's frequencies theta^(-2i/H), in radian a position, float32 [H/2].

    In the original's order, each step rounded to float32: at position 40,000 a last-bit difference
    in a frequency turns the angle by a milliradian. The power is taken in float64 because numpy's
    own in float32 is a bit off on some processors.
    """
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    powers = np.float64(theta) ** exponents.astype(np.float64)
    return np.float32(1) / powers.astype(np.float32)


def rotary_angles(positions_bt: jax.Array, head_dim: int, theta: float):
    """cos and sin of RoPE's angles, float32 [B, T, 1, H/2] each."""
    frequencies = rotary_frequencies(head_dim, theta)
    angles = positions_bt[:, :, None, None].astype(jnp.float32) * frequencies
    # Once for all layers: a TPU's compiler would move them into the loop over layers.
    return jax.lax.optimization_barrier((jnp.cos(angles), jnp.sin(angles)))


def rotate(x_btnh: jax.Array, rotary) -> jax.Array:
    """Applies RoPE in float32, pairing dimension i with i + H/2."""
    cos, sin = rotary
    first, second = jnp.split(x_btnh.astype(jnp.float32), 2, axis=-1)
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return rotated.astype(x_btnh.dtype)


class Attention(nnx.Module):
    """Grouped-query attention with per-head q/k norm, all layers stacked."""

    def __init__(self, config: ModelConfig, compute: ComputeConfig, rngs: nnx.Rngs):
        L, D, H = config.layers, config.embed_dim, config.head_dim
        N, K = config.heads, config.kv_heads
        dtype = compute.param_dtype
        kv_axes = ("layers", "kv_heads", "head_dim", "embed")
        self.q = parameter(rngs, (L, N, H, D), ("layers", "heads", "head_dim", "embed"), dtype)
        self.k = parameter(rngs, (L, K, H, D), kv_axes, dtype)
        self.v = parameter(rngs, (L, K, H, D), kv_axes, dtype)
        self.o = parameter(rngs, (L, D, N, H), ("layers", "embed", "heads", "head_dim"), dtype)
        head_norm = ((L, H), ("layers", "head_norm"), config.norm_eps, compute, rngs)
        self.q_norm = RMSNorm(*head_norm)
        self.k_norm = RMSNorm(*head_norm)

    def __call__(self, x_btd, rotary, rows: Rows, constrain: Constrain, attend=None, past=None):
        """One layer's attention.

        Args:
          attend: the kernel, which is given keys and values as they were projected, in pieces where
            `length` is sharded. None: the reference, over keys and values gathered for it.
          past: None, or (cache, layer): what was computed before, and which of its layers this is.

        Returns:
          ([B, T, D], the cache with this call's keys and values; None without one).
        """
        dtype = x_btd.dtype
        q = product("btd,nhd->btnh", x_btd, self.q[...].astype(dtype))
        k = product("btd,khd->btkh", x_btd, self.k[...].astype(dtype))
        v = product("btd,khd->btkh", x_btd, self.v[...].astype(dtype))
        q = constrain(q, ("batch", "length", "act_heads", "head_dim"))
        # Each device projects its own part of `length`: without a word here the compiler gathers
        # `x`, which is wider, and projects the whole row on every device.
        k = constrain(k, ("batch", "length", "act_kv_heads", "head_dim"))
        v = constrain(v, ("batch", "length", "act_kv_heads", "head_dim"))
        q, k, v = checkpoint_name((q, k, v), PRODUCT)
        q = rotate(self.q_norm(q), rotary)
        k = rotate(self.k_norm(k), rotary)
        cache = None
        if past is not None:
            cache, layer = past
            cache = cache.write(layer, k, v)
            k, v = cache.k[layer], cache.v[layer]
        if attend is None:
            attend = reference.attend
            k = constrain(k, ("batch", "kv_length", "act_kv_heads", "head_dim"))
            v = constrain(v, ("batch", "kv_length", "act_kv_heads", "head_dim"))
        out = attend(q, k.astype(dtype), v.astype(dtype), rows)
        # As it is stored: a TPU's product wants it otherwise, and turned before the loop over
        # layers all of them would lie there twice.
        o = with_layout_constraint(self.o[...].astype(dtype), Layout((0, 1, 2)))
        out = product("btnh,dnh->btd", out, o)
        return checkpoint_name(out, PRODUCT), cache


class FeedForward(nnx.Module):
    """SwiGLU: down(silu(gate x) * up x), all layers stacked."""

    def __init__(self, config: ModelConfig, compute: ComputeConfig, rngs: nnx.Rngs):
        L, D, F = config.layers, config.embed_dim, config.ffn_dim
        dtype = compute.param_dtype
        self.gate = parameter(rngs, (L, F, D), ("layers", "ffn", "embed"), dtype)
        self.up = parameter(rngs, (L, F, D), ("layers", "ffn", "embed"), dtype)
        self.down = parameter(rngs, (L, D, F), ("layers", "embed", "ffn"), dtype)

    def __call__(self, x_btd: jax.Array, constrain: Constrain) -> jax.Array:
        gate = product("btd,fd->btf", x_btd, self.gate[...].astype(x_btd.dtype))
        up = product("btd,fd->btf", x_btd, self.up[...].astype(x_btd.dtype))
        gate, up = checkpoint_name((gate, up), PRODUCT)
        hidden = constrain(jax.nn.silu(gate) * up, ("batch", "length", "act_ffn"))
        return product("btf,df->btd", hidden, self.down[...].astype(x_btd.dtype))


class Layer(nnx.Module):
    """Pre-norm attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: ModelConfig, compute: ComputeConfig, rngs: nnx.Rngs):
        norm = (
            (config.layers, config.embed_dim), ("layers", "norm"), config.norm_eps, compute, rngs
        )  # fmt: skip
        self.attention_norm = RMSNorm(*norm)
        self.attention = Attention(config, compute, rngs)
        self.ffn_norm = RMSNorm(*norm)
        self.ffn = FeedForward(config, compute, rngs)

    def __call__(self, x_btd, rotary, rows: Rows, constrain: Constrain, attend=None, past=None):
        normed = self.attention_norm(x_btd)
        attended, cache = self.attention(normed, rotary, rows, constrain, attend, past)
        x_btd = x_btd + attended
        x_btd = x_btd + self.ffn(self.ffn_norm(x_btd), constrain)
        return constrain(x_btd, ("batch", "length", "act_embed")), cache


class Table(nnx.Module):
    """A [V, D] matrix: the input embedding, or the output head of an untied model."""

    def __init__(self, config: ModelConfig, compute: ComputeConfig, rngs: nnx.Rngs):
        shape = (config.vocab_size, config.embed_dim)
        self.table = parameter(rngs, shape, ("vocab", "embed"), compute.param_dtype)


DEFAULT_COMPUTE = ComputeConfig()


class Decoder(nnx.Module):
    """Qwen3 over packed rows.

    Args:
      config: the architecture.
      compute: dtypes, rematerialisation, loss chunking.
      rngs: initial values; under `nnx.eval_shape` only shapes are made.
      constrain: pins activations to a mesh; the default leaves them alone.
      attend: the attention kernel of whole rows; None is the reference, which `extend` always uses.
      placement: where hidden states and tables lie; None: one device, or what the compiler makes of
        it.
    """

    def __init__(
        self,
        config: ModelConfig,
        compute: ComputeConfig = DEFAULT_COMPUTE,
        *,
        rngs: nnx.Rngs,
        constrain: Constrain = unconstrained,
        attend: Attend | None = None,
        placement: Placement | None = None,
    ):
        self.config = config
        self.compute = compute
        self.constrain = constrain
        self.attend = attend
        self.placement = nnx.static(placement)
        self.embedding = Table(config, compute, rngs)
        self.layers = Layer(config, compute, rngs)
        self.final_norm = RMSNorm((config.embed_dim,), ("norm",), config.norm_eps, compute, rngs)
        if not config.tied_embeddings:
            self.head = Table(config, compute, rngs)

    def __call__(
        self,
        tokens: jax.Array,
        segment_ids: jax.Array | None = None,
        positions: jax.Array | None = None,
    ) -> jax.Array:
        """Next-token logits.

        Args:
          tokens: int32 [B, T], each in [0, V).
          segment_ids: int32 [B, T]; tokens attend within their own segment; 0 is padding. Segments
            lie in one piece. None: each row is one segment.
          positions: int32 [B, T], increasing within a segment. None: counted from each segment's
            start.

        Returns:
          float32 [B, T, V].

        Raises:
          BadInput: a token id out of range. Inside `jax.jit` values are unknown: there such an id
            gives NaN logits.
        """
        check_tokens(tokens, self.config.vocab_size)
        # Compiled once a shape: called eagerly, `lax.scan` would compile anew at every call.
        return _logits(*nnx.split(self), tokens, segment_ids, positions)

    def hidden(self, tokens, segment_ids=None, positions=None) -> jax.Array:
        """The final-normed residual stream, [B, T, D] in the compute dtype. Arguments as above."""
        if segment_ids is None:
            segment_ids = jnp.ones_like(tokens)
        if positions is None:
            positions = segment_positions(segment_ids)
        rows = Rows.of_whole(segment_ids, positions)
        rotary = self._rotary(positions)
        graphdef, stacked = nnx.split(self.layers)
        stacked, of_layer = layer_by_layer(stacked, self.compute.dtype)

        def body(x, piece):
            layer = nnx.merge(graphdef, self._gathered(of_layer(piece)))
            x, _ = layer(x, rotary, rows, self.constrain, self.attend)
            return x, None

        body = rematerialised(body, self.compute.remat)
        x, _ = jax.lax.scan(body, self._embed(tokens), stacked)
        return self.final_norm(x)

    def logits(self, hidden_btd: jax.Array) -> jax.Array:
        """[B, T, D] -> float32 [B, T, V], accumulated in float32."""
        table = self.head_table.astype(hidden_btd.dtype)
        logits = product("btd,vd->btv", hidden_btd, table, dtype=jnp.float32)
        return self.constrain(logits, ("batch", "length", "act_vocab"))

    @property
    def head_table(self) -> jax.Array:
        """[V, D]: the output head, which is the embedding in a tied model."""
        owner = self.embedding if self.config.tied_embeddings else self.head
        return owner.table[...]

    def extend(
        self, tokens: jax.Array, segment_ids: jax.Array, positions: jax.Array, cache: Cache
    ) -> tuple[jax.Array, Cache]:
        """Runs `tokens` after what `cache` holds; prefill and decoding are both this.

        Args:
          tokens: int32 [B, T].
          segment_ids: int32 [B, T], 0 where a row has no token here (right padding).
          positions: int32 [B, T], continuing each row.
          cache: with at least T free slots; the caller counts.

        Returns:
          ([B, T, D] final-normed hidden states, the cache with these tokens in it).
        """
        write = jax.lax.dynamic_update_slice_in_dim
        segments = write(cache.segments, segment_ids, cache.used, axis=1)
        cached_positions = write(cache.positions, positions, cache.used, axis=1)
        rows = Rows(segment_ids, positions, segments, cached_positions)
        rotary = self._rotary(positions)
        graphdef, stacked = nnx.split(self.layers)

        # The cache is carried and written in place; handed through as slices of a layer each, it
        # would be copied whole for every token.
        def body(carry, xs):
            x, cache = carry
            layer_state, index = xs
            layer = nnx.merge(graphdef, layer_state)
            return layer(x, rotary, rows, self.constrain, past=(cache, index)), None

        start = (self._embed(tokens), cache._replace(segments=segments, positions=cached_positions))
        layers = jnp.arange(self.config.layers)
        (x, cache), _ = jax.lax.scan(body, start, (stacked, layers))
        return self.final_norm(x), cache._replace(used=cache.used + tokens.shape[1])

    def _gathered(self, weights: nnx.State) -> nnx.State:
        """A layer's weights, those that widen the feed-forward whole where only storage is split.

        Left to itself a TPU's compiler hands pieces of them around between parts of the product,
        and needs the memory of its wide result twice for it. The other products may have it so.
        """

        def whole(variable):
            axes = variable.get_metadata()["axes"][1:]  # without the layers
            if axes[0] != "ffn":
                return variable
            axes = tuple("act_embed" if axis == "embed" else axis for axis in axes)
            return variable.replace(self.constrain(variable.get_value(), axes))

        return jax.tree.map(whole, weights, is_leaf=lambda node: isinstance(node, nnx.Variable))

    def _embed(self, tokens: jax.Array) -> jax.Array:
        x = look_up(self.embedding.table[...], tokens, self.compute.dtype, self.placement)
        return self.constrain(x, ("batch", "length", "act_embed"))

    def _rotary(self, positions: jax.Array):
        return rotary_angles(positions, self.config.head_dim, self.config.rope_theta)


@partial(jax.jit, static_argnums=0)
def _logits(graphdef, state, tokens, segment_ids, positions):
    model = nnx.merge(graphdef, state)
    return model.logits(model.hidden(tokens, segment_ids, positions))


def check_tokens(tokens: jax.Array, vocab_size: int) -> None:
    """Raises BadInput for the first id outside [0, vocab_size), where values are known."""
    if isinstance(tokens, jax.core.Tracer):
        return
    bad = np.argwhere((np.asarray(tokens) < 0) | (np.asarray(tokens) >= vocab_size))
    if len(bad):
        row, column = bad[0]
        raise BadInput(
            f"token id {int(tokens[row, column])} at row {row}, position {column} is outside the "
            f"model's vocabulary of {vocab_size}: was it made with another tokenizer?"
        )


def segment_positions(segment_ids: jax.Array) -> jax.Array:
    """int32 [B, T] -> int32 [B, T]: each token's distance from the start of its segment."""
    index = jnp.arange(segment_ids.shape[1], dtype=jnp.int32)[None]
    starts = jnp.pad(segment_ids[:, 1:] != segment_ids[:, :-1], ((0, 0), (1, 0)))
    return index - jax.lax.cummax(jnp.where(starts, index, 0), axis=1)
