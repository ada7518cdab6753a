"""Batched sampling with a key/value cache, in one compiled loop.

What a row becomes depends on its own prompt, the seed and its place in the list of prompts, not on
the prompts beside it nor on how they are padded or batched.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from biomatrix_jax.errors import BadInput
from biomatrix_jax.generate.choose import choose
from biomatrix_jax.model import Cache, Decoder
from biomatrix_jax.model.decoder import Constrain

NOTHING = -1  # in a row of new tokens, after its end

# Lengths are rounded up to this, so that prompts of similar lengths share one compiled program.
LENGTH_STEP = 32


class Sampled(NamedTuple):
    tokens: np.ndarray  # int32 [n], the new ones, with the stop token that ended them
    stopped: bool  # by a stop token; otherwise by the limit


def sample(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    *,
    stop: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    vocab_size: int | None = None,
    batch_rows: int = 32,
    on_rows: Callable[[int], None] | None = None,
) -> list[Sampled]:
    """Continues every prompt.

    Args:
      prompts: token ids, at least one each, of any lengths.
      stop: for each prompt the ids any of which ends its row; may be empty.
      max_new_tokens: the most a row gets.
      temperature: 0 is greedy; otherwise logits are divided by it.
      top_p: samples from the nucleus of this probability, in (0, 1]; 1 is all tokens.
      seed: of the draws. Row i of `prompts` draws from the seed folded with i.
      vocab_size: the tokenizer's. Larger ids, the padding rows of an embedding table, are never
        chosen. None: the model's.
      batch_rows: rows that run at a time, whose cache has to fit in memory.
      on_rows: called after each batch with the number of rows it finished.

    Returns:
      One `Sampled` a prompt, in order.

    Raises:
      BadInput: a parameter out of its range, an empty prompt, an id outside the vocabulary, or a
        row that could grow past the model's `max_positions`.
      FloatingPointError: the model's logits are not finite.
    """
    config = model.config
    vocab_size = config.vocab_size if vocab_size is None else vocab_size
    _check_settings(max_new_tokens, temperature, top_p, seed, batch_rows)
    if vocab_size > config.vocab_size:
        raise BadInput(
            f"the tokenizer has {vocab_size} ids, the model only {config.vocab_size}: they do not "
            "belong together"
        )
    _check_prompts(prompts, stop, vocab_size, max_new_tokens, config.max_positions)
    if not prompts:
        return []
    graphdef, state = nnx.split(model)
    rows = _round_up(min(batch_rows, len(prompts)), _devices(model))
    length = _round_up(max(map(len, prompts)), LENGTH_STEP)
    stops = _pad(stop, max(1, *map(len, stop)), NOTHING)
    results: list[Sampled] = []
    for first in range(0, len(prompts), rows):
        indices = np.arange(first, first + rows)
        real = indices < len(prompts)
        indices = np.minimum(indices, len(prompts) - 1)  # a last, short batch repeats its last row
        new, finite = _decode(
            graphdef,
            state,
            _pad([prompts[i] for i in indices], length, 0),
            np.array([len(prompts[i]) for i in indices], np.int32),
            stops[indices],
            _row_keys(seed, indices),
            np.int32(max_new_tokens),
            np.float32(temperature),
            np.float32(top_p),
            vocab_size=vocab_size,
            slots=length + _round_up(max_new_tokens, LENGTH_STEP),
        )
        if not finite:
            raise FloatingPointError(
                "the model's logits are not finite: its weights are not, or its dtype overflows"
            )
        for i, row in zip(indices[real], np.asarray(new)[real], strict=True):
            tokens = row[row != NOTHING]
            results.append(Sampled(tokens, bool(np.isin(tokens[-1], stops[i]))))
        if on_rows:
            on_rows(int(real.sum()))
    return results


class _Loop(NamedTuple):
    """What the decoding loop carries."""

    count: jax.Array  # int32 [], tokens chosen in every row that goes on
    token: jax.Array  # int32 [B], the latest; meaningless in a row that ended
    going: jax.Array  # bool [B], rows that have not ended
    new: jax.Array  # int32 [B, M], chosen so far, then NOTHING
    finite: jax.Array  # bool [], whether all logits were
    cache: Cache


@partial(jax.jit, static_argnames=("graphdef", "vocab_size", "slots"))
def _decode(
    graphdef,
    state,
    prompts_bt,
    lengths_b,
    stops_bs,
    keys_b,
    max_new_tokens,
    temperature,
    top_p,
    *,
    vocab_size,
    slots,
):
    """Prefill, then one token a turn until every row ended. -> (new [B, M], finite [])."""
    model = nnx.merge(graphdef, state)
    model.constrain = _together(model.constrain)
    b, t = prompts_bt.shape
    positions_bt = jnp.broadcast_to(jnp.arange(t, dtype=jnp.int32), (b, t))
    present_bt = (positions_bt < lengths_b[:, None]).astype(jnp.int32)
    cache = Cache.empty(model.config, b, slots, model.compute.dtype).pin(model.constrain)
    hidden_btd, cache = model.extend(prompts_bt, present_bt, positions_bt, cache)
    last_bd = jnp.take_along_axis(hidden_btd, lengths_b[:, None, None] - 1, axis=1)[:, 0]

    def append(hidden_bd, loop: _Loop) -> _Loop:
        logits_bv = model.logits(hidden_bd[:, None])[:, 0]
        finite = loop.finite & jnp.all(jnp.isfinite(logits_bv))
        exists_v = jnp.arange(logits_bv.shape[-1]) < vocab_size
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys_b, loop.count)
        token = choose(jnp.where(exists_v, logits_bv, -jnp.inf), keys, temperature, top_p)
        written = jnp.where(loop.going, token, NOTHING)
        new = jax.lax.dynamic_update_slice_in_dim(loop.new, written[:, None], loop.count, axis=1)
        going = loop.going & ~jnp.any(token[:, None] == stops_bs, axis=-1)
        return _Loop(loop.count + 1, token, going, new, finite, loop.cache)

    def unfinished(loop: _Loop):
        return (loop.count < max_new_tokens) & jnp.any(loop.going) & loop.finite

    def turn(loop: _Loop) -> _Loop:
        # A row that ended goes along as padding: segment 0, which no token attends to.
        hidden_btd, cache = model.extend(
            loop.token[:, None],
            loop.going[:, None].astype(jnp.int32),
            (lengths_b + loop.count - 1)[:, None],
            loop.cache,
        )
        return append(hidden_btd[:, 0], loop._replace(cache=cache.pin(model.constrain)))

    start = _Loop(
        count=jnp.int32(0),
        token=jnp.zeros(b, jnp.int32),
        going=jnp.ones(b, bool),
        new=jnp.full((b, slots - t), NOTHING, jnp.int32),
        finite=jnp.bool_(True),
        cache=cache,
    )
    end = jax.lax.while_loop(unfinished, turn, append(last_bd, start))
    return end.new, end.finite


def _together(constrain: Constrain) -> Constrain:
    """Leaves a row's tokens on one device: those of a turn are one, which nothing divides."""

    def pin(x: jax.Array, axes: tuple[str, ...]) -> jax.Array:
        return constrain(x, tuple("kv_length" if axis == "length" else axis for axis in axes))

    return pin


def _row_keys(seed: int, rows: np.ndarray) -> jax.Array:
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), rows.astype(np.uint32))


def _pad(rows: Sequence[Sequence[int]], length: int, value: int) -> np.ndarray:
    """int32 [B, length], filled up with `value` on the right."""
    padded = np.full((len(rows), length), value, np.int32)
    for row, ids in zip(padded, rows, strict=True):
        row[: len(ids)] = ids
    return padded


def _round_up(n: int, step: int) -> int:
    return -(-n // step) * step


def _devices(model: Decoder) -> int:
    """How many devices hold the weights: a batch that it divides lies on any mesh of them."""
    return len(model.embedding.table[...].sharding.device_set)


def _check_settings(max_new_tokens, temperature, top_p, seed, batch_rows) -> None:
    if batch_rows < 1:
        raise BadInput(f"batch_rows must be at least 1, not {batch_rows}")
    if max_new_tokens < 1:
        raise BadInput(f"max_new_tokens must be at least 1, not {max_new_tokens}")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise BadInput(f"temperature must be 0 (greedy) or a positive number, not {temperature}")
    if not 0 < top_p <= 1:
        raise BadInput(f"top_p must be above 0 and at most 1, not {top_p}")
    if not 0 <= seed < 2**32:
        raise BadInput(f"seed must be from 0 to 4294967295, not {seed}")


def _check_prompts(prompts, stop, vocab_size, max_new_tokens, max_positions) -> None:
    if len(stop) != len(prompts):
        raise BadInput(f"{len(prompts)} prompts but stop tokens for {len(stop)}: give one set each")
    for i, (prompt, stops) in enumerate(zip(prompts, stop, strict=True)):
        if not len(prompt):
            raise BadInput(f"prompt {i} is empty: begin with a text or a segment's start token")
        for ids, name in ((prompt, "prompt"), (stops, "stop token set")):
            bad = [int(x) for x in ids if not 0 <= x < vocab_size]
            if bad:
                raise BadInput(
                    f"{name} {i} has the token id {bad[0]}, outside the vocabulary of {vocab_size}"
                )
        if len(prompt) + max_new_tokens > max_positions:
            raise BadInput(
                f"prompt {i} has {len(prompt)} tokens; {max_new_tokens} more would pass the "
                f"model's {max_positions} positions: ask for fewer tokens"
            )
