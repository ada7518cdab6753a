"""What decides a training run, apart from the atoms it sees."""

from dataclasses import dataclass, fields

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule.training.losses import COORDINATES


@dataclass(frozen=True)
class TrainingConfig:
    """Sizes of the network, objective and schedule; the same values give the same weights.

    Attributes:
      codes, hidden, latent: sizes of the network, see `VQVAEConfig`.
      steps: of the optimizer, each on `batch_size` atoms drawn with replacement.
      learning_rate: of Adam at its peak; it rises over the first 5 % of the steps and falls to
        zero along a cosine.
      seed: of the initial weights and of what each step draws.
      commitment: weight of the latents' distance from their codes.
      geometry: weight of the latents' agreement with local coordinates, see `losses`; 0 leaves the
        objective of the published tokenizer.
      codebook_decay: of the moving averages that the codebook follows.
      revive_below: a code whose use falls below this part of the average use starts anew.
      lloyd_iterations: of k-means on the latents of all atoms, after the last step; 0 keeps the
        codebook of the moving averages.
      decoder_steps: of the optimizer on the decoder alone after that, which then sees the final
        codes and aims at the mean of the atoms behind each.
    """

    codes: int = 512
    hidden: int = 64
    latent: int = 64
    steps: int = 10_000
    batch_size: int = 2048
    learning_rate: float = 3e-3
    seed: int = 0
    commitment: float = 0.05
    geometry: float = 10.0
    codebook_decay: float = 0.95
    revive_below: float = 0.2
    lloyd_iterations: int = 20
    decoder_steps: int = 10_000

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int or field.type == "int":
                least = 0 if field.name in ("seed", "lloyd_iterations", "decoder_steps") else 1
                if type(value) is not int or value < least:
                    kind = "a positive integer" if least else "an integer, 0 or more"
                    raise BadInput(f"{field.name} must be {kind}, not {value!r}")
            elif not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise BadInput(f"{field.name} must be a number, 0 or more, not {value!r}")
        if not self.learning_rate:
            raise BadInput("learning_rate must be above 0")
        if self.codebook_decay >= 1:
            raise BadInput(f"codebook_decay must be below 1, not {self.codebook_decay!r}")
        if self.revive_below >= 1:
            raise BadInput(f"revive_below must be below 1, not {self.revive_below!r}")
        if self.geometry and self.latent < COORDINATES:
            raise BadInput(
                f"latent must be at least {COORDINATES} with the geometry loss, not {self.latent}; "
                "or set geometry to 0"
            )
