"""Progress for people."""

from biomatrix_jax.display import Display

__all__ = ["Display"]
