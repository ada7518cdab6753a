"""Which updates a run takes: a loss or gradient out of all proportion spoils more than its step.

The running mean m and variance v of the loss and of the gradient norm look back `window` accepted
steps: after step n the newest counts 1 / min(n, window), so that the first `window` steps have
plain averages. Once there are as many, a value is out of range above m + deviations * sqrt(v),
where sqrt(v) is at least a hundredth of m. What is not finite is out of range always.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from biomatrix_jax.config import GuardConfig

LEAST_DEVIATION = 0.01  # of the mean: a run that stands still is not broken by its first move


class Guard(NamedTuple):
    """What the judgement of the next step needs; part of what a checkpoint holds."""

    mean: jax.Array  # float32 [2]: of loss and gradient norm
    variance: jax.Array  # float32 [2]
    accepted: jax.Array  # int32 [], updates taken
    skipped: jax.Array  # int32 [], updates not taken
    in_a_row: jax.Array  # int32 [], of these since the last one taken

    @classmethod
    def new(cls) -> "Guard":
        zeros, zero = jnp.zeros(2, jnp.float32), jnp.int32(0)
        return cls(zeros, zeros, zero, zero, zero)

    def judge(
        self, config: GuardConfig, loss: jax.Array, grad_norm: jax.Array
    ) -> tuple[jax.Array, "Guard"]:
        """-> (whether to take the update: bool [], the guard after this step)."""
        values = jnp.stack([loss, grad_norm])
        take = jnp.isfinite(values).all()
        if config.deviations:
            deviation = jnp.maximum(jnp.sqrt(self.variance), LEAST_DEVIATION * self.mean)
            usual = values <= self.mean + config.deviations * deviation
            take &= usual.all() | (self.accepted < config.window)
        share = 1 / jnp.minimum(self.accepted + 1, config.window)
        away = jnp.where(take, values - self.mean, 0)
        variance = (1 - share) * (self.variance + share * away**2)
        return take, Guard(
            mean=self.mean + share * away,
            variance=jnp.where(take, variance, self.variance),
            accepted=self.accepted + take,
            skipped=self.skipped + ~take,
            in_a_row=jnp.where(take, 0, self.in_a_row + 1),
        )
