"""How much of everything the quickstart does."""

from dataclasses import dataclass

from biomatrix_jax.structure.packaged import DEFAULT

MAX_HEAVY_ATOMS = 20


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes:
      molecules: read from the set, before any is dropped.
      structure_steps: of the molecule structure tokenizer's training.
      overrides: of the shipped configuration of the training run.
      segments: modality -> how many are generated, and of how many tokens at most.
      structures: protein chains that are read; None for all.
      protein_tokenizer: its directory, or `default` for the shipped one.
    """

    molecules: int
    structure_steps: int
    overrides: tuple[str, ...]
    segments: dict[str, tuple[int, int]]
    structures: int | None = None
    protein_tokenizer: str = DEFAULT


FULL = Size(
    molecules=1500,
    structure_steps=400,
    overrides=(),
    segments={
        "selfies": (200, 128),
        "molecule_3d": (24, 200),
        "smiles": (24, 128),
        "protein_sequence": (4, 400),
        "protein_3d": (48, 256),
    },
)
