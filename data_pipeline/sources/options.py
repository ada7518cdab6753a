"""What recipes may say to every reader."""

from dataclasses import dataclass

from biomatrix_jax.errors import BadInput


@dataclass(frozen=True)
class Limited:
    """`limit`: read so much from the start of the corpus only, counted before anything is dropped.

    In lines, entries or files, as the reader finds them; None reads it all.
    """

    limit: int | None = None

    def __post_init__(self):
        if self.limit is not None and self.limit < 1:
            raise BadInput(f"limit must be at least 1, not {self.limit}")
