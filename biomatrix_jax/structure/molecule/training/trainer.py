"""The training loop: straight-through gradients, a codebook of moving averages, a final refit."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from biomatrix_jax.structure.molecule.tokenizer import MoleculeTokenizer
from biomatrix_jax.structure.molecule.training import codebook
from biomatrix_jax.structure.molecule.training.config import TrainingConfig
from biomatrix_jax.structure.molecule.training.drawing import check, draw
from biomatrix_jax.structure.molecule.training.evaluation import evaluate
from biomatrix_jax.structure.molecule.training.losses import (
    Metrics,
    follow_statistics,
    objective,
    projection,
)
from biomatrix_jax.structure.molecule.training.refit import refit
from biomatrix_jax.structure.molecule.training.run import Run
from biomatrix_jax.structure.molecule.vqvae import VQVAEConfig, features, init, perceptron

State = dict[str, Any]

NORM_MOMENTUM = 0.1
WARM_UP = 0.05  # of the steps


def train(
    descriptors_n4: np.ndarray,
    config: TrainingConfig,
    *,
    held_out_n4: np.ndarray | None = None,
    directory: str | Path | None = None,
    report_every: int = 100,
    save_every: int = 1000,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> MoleculeTokenizer:
    """Trains a tokenizer from scratch; the same arguments give the same weights.

    Args:
      descriptors_n4: of the atoms to train on, float [atoms, 4], from `describe_molecules`.
      held_out_n4: of atoms to measure on.
      directory: keeps the state, so that the same call goes on after an interruption and arrives at
        the same weights, and `metrics.jsonl`: losses of every `report_every` steps and, with
        `held_out_n4`, errors of reconstruction at every `save_every`; the last line is about the
        finished tokenizer.
      on_step: called after each step with its index and its losses and codebook use.

    Raises:
      BadInput: no atoms to train on, or values that are not finite; `directory` holds the state of
        another run.
    """
    data_nf = features(check(descriptors_n4))
    sizes = VQVAEConfig(config.codes, config.hidden, config.latent)
    state = _init_state(sizes, config, data_nf)
    run = Run(directory, config, descriptors_n4)
    begin, state = run.resume(state)
    for index in range(begin, config.steps):
        x_nf, revival_k = draw(data_nf, config, index)
        state, metrics = _step(state, x_nf, revival_k, config)
        reports = index % report_every == 0 or index + 1 == config.steps
        saves = directory is not None and (index + 1) % save_every == 0 and index + 1 < config.steps
        line: dict[str, Any] = {}
        if reports or on_step is not None:
            numbers = {name: float(value) for name, value in metrics.items()}
            if on_step is not None:
                on_step(index, numbers)
            line |= numbers if reports else {}
        if saves:
            run.save(index + 1, state)
            if held_out_n4 is not None:
                line["held_out"] = evaluate(state["weights"], held_out_n4)
        if line:
            run.log({"step": index, **line})
    run.save(config.steps, state)
    weights = refit(state["weights"], data_nf, config)
    if held_out_n4 is not None:
        run.log({"step": config.steps, "held_out": evaluate(weights, held_out_n4)})
    return MoleculeTokenizer(sizes, weights)


def _schedule(config: TrainingConfig) -> optax.Schedule:
    warm_up = int(WARM_UP * config.steps)
    return optax.warmup_cosine_decay_schedule(
        config.learning_rate / max(warm_up, 1), config.learning_rate, warm_up, config.steps
    )


def _optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    return optax.adam(_schedule(config))


def _init_state(sizes: VQVAEConfig, config: TrainingConfig, data_nf: np.ndarray) -> State:
    random = np.random.default_rng(config.seed)
    weights = jax.tree.map(jnp.asarray, init(sizes, random))
    # Codes start among the latents: far from them most would wait for their revival.
    x_nf, _ = draw(data_nf, config, 0)
    latents, _ = _train_perceptron(weights["encoder"], x_nf)
    weights["codebook"], usage = codebook.start(latents, config.codes, random)
    return {
        "weights": weights,
        "optimizer": _optimizer(config).init(weights),
        "usage": usage,
    }


@partial(jax.jit, static_argnames="config")
def _step(
    state: State, x_nf: jax.Array, revival_k: jax.Array, config: TrainingConfig
) -> tuple[State, Metrics]:
    """One step on the atoms `x_nf`; code k, should it be dead, restarts at the latent of row
    `revival_k[k]`."""
    aim_gc = projection(config.latent, config.seed) if config.geometry else None
    gradients, (latents, assigned, statistics, metrics) = jax.grad(objective, has_aux=True)(
        state["weights"], x_nf, aim_gc, config.commitment, config.geometry
    )
    updates, optimizer_state = _optimizer(config).update(gradients, state["optimizer"])
    weights = optax.apply_updates(state["weights"], updates)
    weights = follow_statistics(weights, statistics, NORM_MOMENTUM)
    weights["codebook"], usage = codebook.follow(
        state["usage"],
        latents,
        assigned,
        latents[revival_k],
        config.codebook_decay,
        config.revive_below,
    )
    return {"weights": weights, "optimizer": optimizer_state, "usage": usage}, metrics


_train_perceptron = jax.jit(partial(perceptron, train=True))
