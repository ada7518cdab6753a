"""What is minimised: the loss of a batch of packed rows, its gradient, and what is reported."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from biomatrix_jax.model import Decoder, token_loss
from biomatrix_jax.tokens.segments import MODALITIES

Batch = dict[str, jax.Array]


class Sums(NamedTuple):
    """Over the targets of a batch, those of weight 0 left out; [M] is over `MODALITIES`."""

    loss: jax.Array  # float32 [M], negative log-likelihoods by their loss weights, nats
    weight: jax.Array  # float32 [M], loss weights
    log_z: jax.Array  # float32 [], squared logarithms of the normalisers by their loss weights
    targets: jax.Array  # int32 [M], how many
    tokens: jax.Array  # int32 [], padding not counted


def batch_sums(model: Decoder, batch: Batch) -> Sums:
    """One pass over a batch, see `step.BATCH`."""
    hidden = model.hidden(batch["tokens"], batch["segment_ids"], batch["positions"])
    compute = model.compute
    loss_bt, log_z_bt = token_loss(
        hidden,
        model.head_table,
        batch["targets"],
        compute.loss_chunk,
        compute.loss_vocab_tile,
        model.placement,
    )
    weights_bt = batch["loss_weights"]
    by_modality = batch["modality"][..., None] == jnp.arange(len(MODALITIES))  # [B, T, M]
    counted = (weights_bt > 0)[..., None] & by_modality
    return Sums(
        loss=jnp.sum((loss_bt * weights_bt)[..., None] * by_modality, axis=(0, 1)),
        weight=jnp.sum(weights_bt[..., None] * by_modality, axis=(0, 1)),
        log_z=jnp.sum(log_z_bt**2 * weights_bt),
        targets=jnp.sum(counted, axis=(0, 1), dtype=jnp.int32),
        tokens=jnp.sum(batch["segment_ids"] > 0, dtype=jnp.int32),
    )


def gradient(
    sums: Callable[[Any, Batch], Sums],
    params: Any,
    batch: Batch,
    *,
    parts: int = 1,
    z_loss: float = 0.0,
    place: Callable[[Any], Any] = lambda gradients: gradients,
    place_part: Callable[[Batch], Batch] = lambda batch: batch,
) -> tuple[Any, Sums]:
    """The gradient of the mean loss over a whole batch, by loss weight, and the batch's sums.

    The mean counts each target of the batch alike, in whichever part it is: every part's share is
    divided by the weight of them all. Where the weight is 0 the gradient is.

    Args:
      sums: (params, batch) -> its sums, through which is differentiated.
      parts: of the batch, computed one after the other; part i has the rows i, i + parts, ..., so
        that each device splits its own. Their gradients are summed in float32.
      z_loss: coefficient of the mean squared log Z in what is minimised.
      place: says of a gradient where it lies, so that it is scattered as it is summed.
      place_part: says it of a part.
    """
    weight = jnp.sum(batch["loss_weights"])
    scale = 1 / jnp.where(weight > 0, weight, 1)

    @partial(jax.grad, has_aux=True)
    def of_part(params, batch):
        found = sums(params, batch)
        total = jnp.sum(found.loss) + (z_loss * found.log_z if z_loss else 0)
        return total * scale, found

    if parts == 1:
        gradients, found = of_part(params, batch)
        return place(gradients), found

    def split(x):  # [B, T] -> [parts, B / parts, T]
        return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)

    def add(total, part):
        gradients, found = of_part(params, place_part(part))
        return jax.tree.map(jnp.add, total, (place(gradients), found)), None

    gradients, found = jax.eval_shape(of_part, params, jax.tree.map(lambda x: x[::parts], batch))
    zeros = (
        place(jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), gradients)),
        jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), found),
    )
    return jax.lax.scan(add, zeros, jax.tree.map(split, batch))[0]
