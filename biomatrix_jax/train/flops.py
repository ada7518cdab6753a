"""Model FLOPs of a token, and the peak of the devices to hold them against."""

import time
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from biomatrix_jax.chips import find_chip
from biomatrix_jax.config import ModelConfig


class Peak(NamedTuple):
    """FLOP/s of all devices of a run together; None where nobody says."""

    flops: float | None
    source: Literal["published", "measured", "unknown"]


def flops_per_token(model: ModelConfig, row_length: int) -> float:
    """FLOPs that training on one token takes, forward and backward, by the usual convention.

    Counted: two FLOPs for each weight of each matrix product that the token goes through, the
    output head included (tied or not), and the products of queries with keys and of weights with
    values over the whole row, as if attention looked at all of it; twice as much again for the
    backward pass. Not counted: norms, softmax, RoPE, the embedding's look-up, the optimizer, and
    what rematerialisation computes again.
    """
    d, f = model.embed_dim, model.ffn_dim
    q_width, kv_width = model.heads * model.head_dim, model.kv_heads * model.head_dim
    attention_weights = 2 * d * q_width + 2 * d * kv_width
    weights = model.layers * (attention_weights + 3 * d * f) + model.vocab_size * d
    attention = 2 * model.layers * row_length * q_width  # multiply-adds, both products
    return 3.0 * 2 * (weights + attention)


def peak_flops(devices: list[jax.Device]) -> Peak:
    """What `devices` could do together: published figures, or on a CPU what a product measures."""
    if devices[0].platform == "cpu":
        # Simulated devices share the machine's cores, and one product already uses them all.
        return Peak(_measured(), "measured")
    chip = find_chip(devices[0].device_kind)
    return Peak(chip.bf16_flops * len(devices), "published") if chip else Peak(None, "unknown")


def _measured(size: int = 1024, repeats: int = 20) -> float:
    """FLOP/s of the fastest of a few float32 matrix products; takes some tenths of a second."""
    a = jnp.ones((size, size), jnp.float32)
    product = jax.jit(jnp.matmul).lower(a, a).compile()
    product(a, a).block_until_ready()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        product(a, a).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)
