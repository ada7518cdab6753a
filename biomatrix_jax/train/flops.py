"""Model FLOPs of a token, and the peak of the devices to hold them against."""

import time
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from biomatrix_jax.config import ModelConfig

# Dense bfloat16 FLOP/s of one JAX device, as its vendor publishes it (without sparsity), by a part
# of `device_kind`; the first that fits counts. A TPU v2 or v3 device is one of a chip's two cores.
PEAK_FLOPS = {
    "TPU v2": 22.5e12,
    "TPU v3": 61.5e12,
    "TPU v4 lite": 138e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,  # v5p, which JAX has called both "TPU v5" and "TPU v5p"
    "TPU v6": 918e12,
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "GH200": 989e12,
    "H200": 989e12,
    "GB200": 2500e12,
    "B200": 2250e12,
}


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
    for kind, flops in PEAK_FLOPS.items():
        if kind in devices[0].device_kind:
            return Peak(flops * len(devices), "published")
    return Peak(None, "unknown")


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
