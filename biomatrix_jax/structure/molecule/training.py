"""Training of the molecule tokenizer's VQ-VAE: straight-through gradients, an EMA codebook.

The codebook follows an exponential moving average of the latents assigned to each code (van den
Oord et al. 2017, appendix A.1); a code that falls out of use restarts at a latent of the batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule.conformers import describe_molecules
from biomatrix_jax.structure.molecule.errors import MoleculeError
from biomatrix_jax.structure.molecule.tokenizer import MoleculeTokenizer
from biomatrix_jax.structure.molecule.vqvae import (
    VQVAEConfig,
    Weights,
    features,
    init,
    nearest_codes,
    perceptron,
)

State = dict[str, Any]
Metrics = dict[str, jax.Array]

COMMITMENT = 0.25
CODEBOOK_DECAY = 0.95  # follows an encoder that learns in hundreds of steps, not in epochs
CODEBOOK_EPSILON = 1e-5
NORM_MOMENTUM = 0.1
REVIVE_BELOW = 0.2  # of the average use of a code
# An error of 1 in a branch's own unit moves an atom at 1.4 angstrom by about this much, squared:
# (1 + r)^2 for log(1 + r), (pi r)^2 for the angles. The sign's cross-entropy counts as it is.
BRANCH_WEIGHTS = {"length": 6.0, "angle": 20.0, "torsion": 20.0, "sign": 1.0}


def train_vqvae(
    conformers: Sequence[Chem.Mol] | np.ndarray,
    *,
    codes: int = 512,
    steps: int = 400,
    seed: int = 0,
    batch_size: int = 512,
    learning_rate: float = 1e-2,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> MoleculeTokenizer:
    """Trains a tokenizer from scratch; the same arguments give the same weights.

    Args:
      conformers: molecules as `MoleculeTokenizer.encode` takes them, or descriptors [atoms, 4].
      codes: size of the codebook.
      steps: optimizer steps, each on `batch_size` atoms drawn with replacement.
      seed: of the initial weights and the draws.
      learning_rate: peak; it falls to zero along a cosine.
      on_step: called after each step with its index and its losses and codebook use.

    Raises:
      MoleculeError: a molecule cannot be encoded (`describe_molecules` finds all such at once).
      BadInput: no atoms to train on, or sizes that are not positive.
    """
    config = VQVAEConfig(codes=codes)
    for name, number in (("steps", steps), ("batch_size", batch_size)):
        if type(number) is not int or number < 1:
            raise BadInput(f"{name} must be a positive integer, not {number!r}")
    data_nf = features(_descriptors(conformers))
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    random = np.random.default_rng(seed)
    state = _init_state(config, optimizer, _draw(data_nf, batch_size, random), random)

    @jax.jit
    def step(state: State, x_nf: jax.Array, revival_k: jax.Array) -> tuple[State, Metrics]:
        gradients, (latents, assigned, statistics, metrics) = jax.grad(_loss, has_aux=True)(
            state["weights"], x_nf
        )
        updates, optimizer_state = optimizer.update(gradients, state["optimizer"])
        weights = optax.apply_updates(state["weights"], updates)
        weights = _follow_statistics(weights, statistics)
        weights["codebook"], usage = _follow_codebook(
            state["usage"], latents, assigned, latents[revival_k]
        )
        return {"weights": weights, "optimizer": optimizer_state, "usage": usage}, metrics

    for index in range(steps):
        x_nf = _draw(data_nf, batch_size, random)
        state, metrics = step(state, x_nf, random.integers(0, batch_size, codes, np.int32))
        if on_step is not None:
            on_step(index, {name: float(value) for name, value in metrics.items()})
    return MoleculeTokenizer(config, state["weights"])


def _descriptors(conformers: Sequence[Chem.Mol] | np.ndarray) -> np.ndarray:
    if isinstance(conformers, np.ndarray):
        descriptors = conformers
    else:
        described = describe_molecules(conformers)
        for item in described:
            if isinstance(item, MoleculeError):
                raise item
        descriptors = np.concatenate([np.zeros((0, 4)), *(item.descriptors for item in described)])
    if descriptors.ndim != 2 or descriptors.shape[1] != 4 or not len(descriptors):
        raise BadInput(f"training needs descriptors [atoms, 4], not {list(descriptors.shape)}")
    if not np.isfinite(descriptors).all():
        raise BadInput("training needs finite descriptors: one NaN would become every weight")
    return descriptors


def _init_state(
    config: VQVAEConfig,
    optimizer: optax.GradientTransformation,
    x_nf: np.ndarray,
    random: np.random.Generator,
) -> State:
    weights = jax.tree.map(jnp.asarray, init(config, random))
    # Codes start among the latents: far from them most would wait for their revival.
    latents, _ = jax.jit(perceptron, static_argnames="train")(weights["encoder"], x_nf, train=True)
    weights["codebook"] = latents[random.integers(0, len(x_nf), config.codes)]
    average = len(x_nf) / config.codes
    usage = {"size": jnp.full(config.codes, average), "sum": weights["codebook"] * average}
    return {"weights": weights, "optimizer": optimizer.init(weights), "usage": usage}


def _draw(data_nf: np.ndarray, batch_size: int, random: np.random.Generator) -> np.ndarray:
    """Rows of the data, each as it is or as in the mirror image of its molecule.

    A mirror turns the polar angle over and leaves the rest (w = u x v is an axial vector); the
    first three atoms, whose sign is 0, have no polar angle.
    """
    x_nf = data_nf[random.integers(0, len(data_nf), batch_size)]
    mirrored = (random.random(batch_size) < 0.5) & (x_nf[:, 3] != 0)
    x_nf[mirrored, 1] = 1 - x_nf[mirrored, 1]
    return x_nf


def _loss(weights: Weights, x_nf: jax.Array) -> tuple[jax.Array, tuple]:
    latents, encoder_statistics = perceptron(weights["encoder"], x_nf, train=True)
    codebook = lax.stop_gradient(weights["codebook"])
    assigned = nearest_codes(latents, codebook)
    quantized = codebook[assigned]
    straight_through = latents + lax.stop_gradient(quantized - latents)
    outputs, statistics = {}, {}
    for name, head in weights["heads"].items():
        outputs[name], statistics[name] = perceptron(head, straight_through, train=True)

    losses = {
        name: jnp.mean((outputs[name][:, 0] - x_nf[:, column]) ** 2)
        for column, name in enumerate(("length", "angle", "torsion"))
    }
    classes = x_nf[:, 3].astype(jnp.int32) + 1
    losses["sign"] = jnp.mean(
        optax.softmax_cross_entropy_with_integer_labels(outputs["sign"], classes)
    )
    commitment = jnp.mean((latents - quantized) ** 2)
    total = COMMITMENT * commitment + sum(BRANCH_WEIGHTS[name] * losses[name] for name in losses)
    used = jnp.bincount(assigned, length=len(codebook)) / len(x_nf)
    perplexity = jnp.exp(-jnp.sum(used * jnp.log(used + 1e-10)))
    metrics = {"loss": total, **losses, "commitment": commitment, "perplexity": perplexity}
    statistics = {"encoder": encoder_statistics, "heads": statistics}
    return total, (lax.stop_gradient(latents), assigned, statistics, metrics)


def _follow_statistics(weights: Weights, statistics: Weights) -> Weights:
    """Moves the running statistics a step towards the batch's; `statistics` is a partial tree."""
    moved = {}
    for name, value in weights.items():
        if name not in statistics:
            moved[name] = value
        elif isinstance(value, dict):
            moved[name] = _follow_statistics(value, statistics[name])
        else:
            moved[name] = (1 - NORM_MOMENTUM) * value + NORM_MOMENTUM * statistics[name]
    return moved


def _follow_codebook(
    usage: State, latents_nc: jax.Array, assigned_n: jax.Array, revival_kc: jax.Array
) -> tuple[jax.Array, State]:
    """One step of the moving averages: the new codebook, and the averages it came from."""
    codes, average = len(usage["size"]), len(latents_nc) / len(usage["size"])
    size = jnp.bincount(assigned_n, length=codes)
    total = jax.ops.segment_sum(latents_nc, assigned_n, codes)
    size = CODEBOOK_DECAY * usage["size"] + (1 - CODEBOOK_DECAY) * size
    total = CODEBOOK_DECAY * usage["sum"] + (1 - CODEBOOK_DECAY) * total
    # Revived codes start with an average code's weight, so that they get time to find a place.
    dead = size < REVIVE_BELOW * average
    size = jnp.where(dead, average, size)
    total = jnp.where(dead[:, None], revival_kc * average, total)
    everything = jnp.sum(size)
    smoothed = (size + CODEBOOK_EPSILON) / (everything + codes * CODEBOOK_EPSILON) * everything
    return total / smoothed[:, None], {"size": size, "sum": total}
