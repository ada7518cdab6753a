"""What a recipe says about records to leave out."""

from dataclasses import dataclass

from biomatrix_jax.errors import BadInput
from data_pipeline.removal.evaluation_sets import EvaluationSet


@dataclass(frozen=True)
class Removal:
    """All of it is off where nothing is said.

    Attributes:
      duplicates: leave out what an earlier source or an earlier record of the same source has. A
        molecule or protein of which a record tells more, in texts or properties, is left out only
        where the same was told.
      near_duplicates: leave out texts that share this much of their runs of five words with an
        earlier one (Jaccard similarity, estimated); 0: none.
      evaluation_sets: leave out records about anything that these hold.
    """

    duplicates: bool = False
    near_duplicates: float = 0.0
    evaluation_sets: tuple[EvaluationSet, ...] = ()

    def __post_init__(self):
        if not 0 <= self.near_duplicates <= 1:
            raise BadInput(f"near_duplicates is from 0 to 1, not {self.near_duplicates}")
        names = [one.name for one in self.evaluation_sets]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise BadInput(f"two evaluation sets are called {min(repeated)}")

    @property
    def any(self) -> bool:
        return bool(self.duplicates or self.near_duplicates or self.evaluation_sets)
