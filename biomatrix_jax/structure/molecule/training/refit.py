"""The last stage of training: the encoder stands still, codebook and decoder get their best values.

Codes become the k-means centres of the latents, and the decoder learns to give for each code the
mean of the atoms behind it: the decoder sees a code and nothing else, so this is all it can do.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from biomatrix_jax.structure.molecule.training import codebook
from biomatrix_jax.structure.molecule.training.config import TrainingConfig
from biomatrix_jax.structure.molecule.training.drawing import mirror
from biomatrix_jax.structure.molecule.training.losses import (
    branches,
    displacements,
    follow_statistics,
)
from biomatrix_jax.structure.molecule.vqvae import Weights, perceptron

ROWS = 2**14  # atoms in one call of the encoder
# Atoms that k-means++ draws from, and that the means are taken over.
SEEDING, MEANS = 2**15, 2**19
# A code counts by its use when the decoder is fitted, within these bounds: a rare one is still all
# that its atoms have.
LEAST_USE, MOST_USE = 0.2, 5.0


def refit(weights: Weights, data_nf: np.ndarray, config: TrainingConfig) -> Weights:
    """The weights with a new codebook and decoder, as far as `config` asks for them.

    Args:
      data_nf: features of all atoms, float32 [atoms, 4].
    """
    random = np.random.default_rng([config.seed, config.steps])
    sample = data_nf[random.permutation(len(data_nf))[: MEANS // 2]]
    sample = np.concatenate([mirror(sample, np.full(len(sample), hand)) for hand in (False, True)])
    weights = dict(weights)
    if config.lloyd_iterations:
        latents = latents_of(weights, sample)
        some = latents[random.permutation(len(latents))[:SEEDING]]
        seeds = codebook.seed(some, config.codes, random)
        weights["codebook"] = jnp.asarray(codebook.lloyd(latents, seeds, config.lloyd_iterations))
    if config.decoder_steps:
        codes = codes_of(weights, sample)
        weights["heads"] = _fit_heads(weights, *aims(sample, codes, config.codes), config)
    return weights


def latents_of(weights: Weights, data_nf: np.ndarray) -> np.ndarray:
    """float32 [atoms, latent], with the running statistics."""
    return np.concatenate([np.asarray(part) for part in _encoded(weights, data_nf)])


def codes_of(weights: Weights, data_nf: np.ndarray) -> np.ndarray:
    """int32 [atoms]."""
    parts = (codebook.nearest(part, weights["codebook"]) for part in _encoded(weights, data_nf))
    return np.concatenate([np.asarray(part) for part in parts])


def aims(data_nf: np.ndarray, codes_n: np.ndarray, codes: int) -> tuple[np.ndarray, np.ndarray]:
    """What each code should decode to, and how much an error there matters.

    Returns:
      Features float32 [codes, 4]: the mean of each component over the code's atoms, weighted by
      what it does to coordinates, and the sign that most of them have by that weight; and weights
      of errors, float32 [codes, 4], 0 where a code has no atom.
    """
    weights_n4 = np.asarray(displacements(jnp.asarray(data_nf)), np.float64)

    def sums(values_n: np.ndarray) -> np.ndarray:
        return np.bincount(codes_n, values_n, codes)

    weight_k4 = np.stack([sums(column) for column in weights_n4.T], axis=1)
    positive = np.maximum(weight_k4, np.finfo(np.float64).tiny)
    means = [sums(weights_n4[:, i] * data_nf[:, i]) / positive[:, i] for i in range(3)]
    by_sign = [sums(weights_n4[:, 3] * (data_nf[:, 3] == sign)) for sign in (-1, 0, 1)]
    count = np.bincount(codes_n, minlength=codes)[:, None]
    use = np.clip(count / count.mean(), LEAST_USE, MOST_USE)
    aims_k4 = np.stack([*means, np.argmax(by_sign, axis=0) - 1.0], axis=1)
    matter_k4 = use * weight_k4 / np.maximum(count, 1)
    return aims_k4.astype(np.float32), matter_k4.astype(np.float32)


@partial(jax.jit, static_argnames="config")
def _fit_heads(
    weights: Weights, aims_k4: jax.Array, matter_k4: jax.Array, config: TrainingConfig
) -> Weights:
    """Heads that give `aims_k4` on the codebook, which is all that they will ever see."""
    codes_kc, steps = weights["codebook"], config.decoder_steps
    optimizer = optax.adam(optax.cosine_decay_schedule(config.learning_rate, steps))

    def loss(heads: Weights) -> tuple[jax.Array, Weights]:
        made = {name: perceptron(head, codes_kc, train=True) for name, head in heads.items()}
        outputs = {name: output for name, (output, _) in made.items()}
        statistics = {name: found for name, (_, found) in made.items()}
        return sum(branches(outputs, aims_k4, matter_k4).values()), statistics

    def step(_: int, carry: tuple[Weights, optax.OptState]) -> tuple[Weights, optax.OptState]:
        heads, state = carry
        gradients, _ = jax.grad(loss, has_aux=True)(heads)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(heads, updates), state

    # One program, because a step is too short for thousands of calls.
    begin = weights["heads"], optimizer.init(weights["heads"])
    heads, _ = lax.fori_loop(0, steps, step, begin)
    return follow_statistics(heads, loss(heads)[1], momentum=1.0)


def _encoded(weights: Weights, data_nf: np.ndarray) -> Iterator[jax.Array]:
    for begin in range(0, len(data_nf), ROWS):
        yield _encode(weights["encoder"], data_nf[begin : begin + ROWS])


@jax.jit
def _encode(encoder: Weights, x_nf: jax.Array) -> jax.Array:
    return perceptron(encoder, x_nf)[0]
