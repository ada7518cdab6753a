"""The network of the molecule tokenizer: descriptors -> latent -> nearest code -> descriptors.

The encoder and each of the four decoder heads is a perceptron Linear, BatchNorm, ReLU, Linear,
BatchNorm, ReLU, Linear. The defaults have the shapes of the released MolStrucTok. Weights are a
tree of dictionaries, linear layers stored [out, in].

One tree holds what the optimizer trains and what it does not (running statistics, codebook), so
that there is one thing to save; nothing below lets a gradient reach the latter.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from biomatrix_jax.errors import BadInput

Weights = dict[str, Any]
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

HEADS = {"length": 1, "angle": 1, "torsion": 1, "sign": 3}  # name: outputs
NORM_EPS = 1e-5


@dataclass(frozen=True)
class VQVAEConfig:
    """Sizes of the network; the defaults are those of the released weights."""

    codes: int = 512
    hidden: int = 64
    latent: int = 64

    def __post_init__(self):
        for name, size in asdict(self).items():
            if type(size) is not int or size < 1:
                raise BadInput(f"{name} must be a positive integer, not {size!r}")


def init(config: VQVAEConfig, random: np.random.Generator) -> Weights:
    """Fresh float32 weights: Xavier-uniform linear layers, neutral norms, a codebook near zero.

    NumPy draws them: one seed gives the same weights on every accelerator, without a compilation.
    """
    return _declare(config, lambda shape, draw: draw(random, shape).astype(np.float32))


def shapes(config: VQVAEConfig) -> Weights:
    """The tree with a `jax.ShapeDtypeStruct` for each array; nothing is allocated."""
    return _declare(config, lambda shape, _: jax.ShapeDtypeStruct(shape, np.float32))


def features(descriptors_n4: np.ndarray) -> np.ndarray:
    """What the encoder sees: log(1 + r), theta / pi, |phi| / pi, sign; float32 [n, 4]."""
    r, theta, phi, sign = np.asarray(descriptors_n4, np.float32).T
    pi = np.float32(np.pi)
    return np.stack([np.log(r + np.float32(1)), theta / pi, phi / pi, sign], axis=1)


def perceptron(weights: Weights, x_nf: jax.Array, train: bool = False) -> tuple[jax.Array, Weights]:
    """One perceptron.

    Args:
      weights: its branch of the tree.
      x_nf: float32 [rows, inputs].
      train: normalise with the statistics of these rows instead of the running ones.

    Returns:
      float32 [rows, outputs], and the statistics of these rows: {norm: {mean, variance}}, empty
      unless `train`.
    """
    statistics = {}
    for i in (0, 1):
        x_nf = _linear(weights[f"linear_{i}"], x_nf)
        norm = weights[f"norm_{i}"]
        mean, variance = norm["mean"], norm["variance"]
        if train:
            mean, variance = jnp.mean(x_nf, axis=0), jnp.var(x_nf, axis=0)
            statistics[f"norm_{i}"] = lax.stop_gradient({"mean": mean, "variance": variance})
        scale = norm["scale"] * lax.rsqrt(variance + NORM_EPS)
        x_nf = jax.nn.relu((x_nf - mean) * scale + norm["bias"])
    return _linear(weights["linear_2"], x_nf), statistics


def nearest_codes(latents_nc: jax.Array, codebook_kc: jax.Array) -> jax.Array:
    """Index of the codebook row closest to each latent, the lower one on ties; int32 [n]."""
    squared = jnp.sum(latents_nc**2, axis=1, keepdims=True) + jnp.sum(codebook_kc**2, axis=1)
    dot = jnp.matmul(latents_nc, codebook_kc.T, precision=lax.Precision.HIGHEST)
    # Two plain minima, which CPUs do several numbers at a time, take a fifth of argmin's time. Both
    # have to see the same bits, not each its own computation of the distances.
    distances_nk = lax.optimization_barrier(squared - 2 * dot)
    nearest_n1 = jnp.min(distances_nk, axis=1, keepdims=True)
    codes = jnp.arange(len(codebook_kc), dtype=jnp.int32)
    return jnp.min(jnp.where(distances_nk == nearest_n1, codes, len(codebook_kc)), axis=1)


# Rows per call of the compiled encoder. One shape means one compilation, and that an atom's code
# cannot depend on how many others were encoded with it.
_ROWS = 256


def encode(weights: Weights, descriptors_n4: np.ndarray) -> np.ndarray:
    """The code of each atom, int32 [n], from float [n, 4] descriptors (angstrom, radian)."""
    x_nf = features(descriptors_n4)
    padded = np.zeros((-(-len(x_nf) // _ROWS) * _ROWS, 4), np.float32)
    padded[: len(x_nf)] = x_nf
    # All chunks are dispatched before the first result is waited for.
    chunks = [_encode_rows(weights, chunk) for chunk in padded.reshape(-1, _ROWS, 4)]
    return np.concatenate([np.zeros(0, np.int32), *map(np.asarray, chunks)])[: len(x_nf)]


@jax.jit
def _encode_rows(weights: Weights, x_nf: jax.Array) -> jax.Array:
    latents, _ = perceptron(weights["encoder"], x_nf)
    return nearest_codes(latents, weights["codebook"])


def code_table(weights: Weights) -> np.ndarray:
    """What every code decodes to: float64 [codes, 4], r (angstrom), theta, |phi| (radian), sign.

    The decoder sees an atom's code and nothing else, so this table is the whole decoder. Rebuilding
    multiplies its rounding up to a hundredfold, so float64 keeps coordinates closer to everybody
    else's float32 than another float32 would.
    """
    weights = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), weights)
    length, angle, torsion, sign = (
        _perceptron_float64(weights["heads"][name], weights["codebook"]) for name in HEADS
    )
    signs = np.argmax(sign, axis=1, keepdims=True) - 1.0
    return np.concatenate([np.exp(length) - 1, angle * np.pi, torsion * np.pi, signs], axis=1)


def _perceptron_float64(weights: Weights, x_nf: np.ndarray) -> np.ndarray:
    """`perceptron` in NumPy: JAX has no float64 unless all of a program has it."""
    for i in (0, 1):
        linear, norm = weights[f"linear_{i}"], weights[f"norm_{i}"]
        scale = norm["scale"] / np.sqrt(norm["variance"] + NORM_EPS)
        x_nf = x_nf @ linear["weight"].T + linear["bias"]
        x_nf = np.maximum((x_nf - norm["mean"]) * scale + norm["bias"], 0)
    return x_nf @ weights["linear_2"]["weight"].T + weights["linear_2"]["bias"]


def _linear(layer: Weights, x_nf: jax.Array) -> jax.Array:
    return jnp.matmul(x_nf, layer["weight"].T, precision=lax.Precision.HIGHEST) + layer["bias"]


def _declare(config: VQVAEConfig, make: Callable[[tuple[int, ...], Draw], Any]) -> Weights:
    """The tree, each leaf made from its shape and how its first values are drawn."""

    def perceptron(inputs: int, outputs: int) -> Weights:
        hidden, weights = config.hidden, {}
        for i, (out, into) in enumerate(((hidden, inputs), (hidden, hidden), (outputs, hidden))):
            weight = make((out, into), _draw_xavier)
            weights[f"linear_{i}"] = {"weight": weight, "bias": make((out,), _zeros)}
        for i in (0, 1):
            draws = {"scale": _ones, "bias": _zeros, "mean": _zeros, "variance": _ones}
            weights[f"norm_{i}"] = {name: make((hidden,), draw) for name, draw in draws.items()}
        return weights

    return {
        "encoder": perceptron(4, config.latent),
        "codebook": make((config.codes, config.latent), _draw_codebook),
        "heads": {name: perceptron(config.latent, outputs) for name, outputs in HEADS.items()},
    }


def _draw_xavier(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    bound = np.sqrt(6 / sum(shape))
    return random.uniform(-bound, bound, shape)


def _draw_codebook(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return random.uniform(-1 / shape[0], 1 / shape[0], shape)


def _zeros(_: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape)


def _ones(_: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape)
