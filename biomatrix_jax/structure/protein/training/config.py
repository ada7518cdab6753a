"""What a training of the protein tokenizer needs to know, as one tree of frozen dataclasses."""

from dataclasses import dataclass, field

from biomatrix_jax.config import MeshConfig, ShardingRules
from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.config import LARGE, ProteinVQVAEConfig


@dataclass(frozen=True)
class LossWeights:
    """Of the decoder's losses, see losses.py; those of the codebook are in `model.quantizer`."""

    aligned: float = 0.001
    distance: float = 0.01
    direction: float = 0.05
    codebook: float = 1.0  # of commitment and orthogonality together


@dataclass(frozen=True)
class AdamWConfig:
    """AdamW with warm-up and a cosine to `final_fraction` of the peak; gradients are clipped."""

    learning_rate: float = 1e-4
    warmup_steps: int = 1000
    final_fraction: float = 0.01
    b1: float = 0.9
    b2: float = 0.99
    weight_decay: float = 0.01  # of matrices
    clip_norm: float = 1.0

    def __post_init__(self):
        if self.learning_rate <= 0 or self.clip_norm <= 0 or self.warmup_steps < 0:
            raise BadInput("optimizer: learning_rate, clip_norm and warmup_steps must be positive")


@dataclass(frozen=True)
class BatchConfig:
    """What a step sees. Longer chains are cut to a random window."""

    residues: int = 16384  # of a batch, padding included; rows x length
    lengths: tuple[int, ...] = (128, 256, 512)  # a batch has one of them
    shares: tuple[float, ...] = (1.0, 1.0, 1.0)  # how often each of `lengths` is drawn
    opens: tuple[int, ...] = ()  # the step from which on each of `lengths` is drawn; (): all from 0
    bent: float = 0.0  # share of the rows whose chain is bent first, see bending.py
    bends: int = 2
    bend_spread: float = 0.6  # radians

    def __post_init__(self):
        if not self.lengths or len(self.shares) != len(self.lengths) or min(self.shares) < 0:
            raise BadInput("batch: give one share for each of batch.lengths, none negative")
        if self.opens and len(self.opens) != len(self.lengths):
            raise BadInput("batch.opens: give one step for each of batch.lengths, or none")
        if not any(share > 0 and step <= 0 for share, step in self.schedule):
            raise BadInput("batch: one of batch.lengths needs a share and a place in step 0")
        if min(self.lengths) < 1 or self.residues < max(self.lengths):
            raise BadInput("batch.residues must hold at least one chain of batch.lengths")
        if not 0 <= self.bent <= 1:
            raise BadInput(f"batch.bent is a share, from 0 to 1, not {self.bent}")

    @property
    def schedule(self) -> list[tuple[float, int]]:
        """The share of each of `lengths`, and the step from which on it counts."""
        return list(zip(self.shares, self.opens or [0] * len(self.lengths), strict=True))


@dataclass(frozen=True)
class TrainingConfig:
    """The defaults train a model of the published Large shape; assets/protein_tokenizer has ours.

    Attributes:
      steps: of the optimizer.
      init_from: a tokenizer's directory to start from, weights and codebook; "": random weights.
      continuous_steps: at the beginning, in which latents pass without codes; the codebook starts
        from the latents at their end.
      evaluate_every: steps from one measurement on held-out chains to the next; one at the end.
      checkpoint_every: steps from one checkpoint to the next.
    """

    model: ProteinVQVAEConfig = LARGE
    losses: LossWeights = LossWeights()
    optimizer: AdamWConfig = AdamWConfig()
    batch: BatchConfig = BatchConfig()
    mesh: MeshConfig = field(default_factory=MeshConfig)
    rules: ShardingRules = field(default_factory=ShardingRules)
    init_from: str = ""
    steps: int = 100_000
    continuous_steps: int = 0
    evaluate_every: int = 1000
    checkpoint_every: int = 1000
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "evaluate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} must be positive, not {getattr(self, name)}")
        if not 0 <= self.continuous_steps < self.steps:
            raise BadInput("continuous_steps must leave steps for the codebook")
        if self.init_from and self.continuous_steps:
            raise BadInput("init_from brings a codebook: set continuous_steps to 0")
        if max(self.batch.lengths) > self.model.max_length:
            raise BadInput("batch.lengths has more residues than model.max_length")
