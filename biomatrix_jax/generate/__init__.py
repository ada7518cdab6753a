"""Sampling with a key/value cache, and its results back as segments."""

from biomatrix_jax.generate.generate import Generation, Start, generate
from biomatrix_jax.generate.sampler import Sampled, sample

__all__ = ["Generation", "Sampled", "Start", "generate", "sample"]
