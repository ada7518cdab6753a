"""Generations as a model might make them."""

import numpy as np

from biomatrix_jax.generate import Generation
from biomatrix_jax.tokens import Problem


def generation(*segments, problem=None, prompt="", text="", finished=True):
    problems = [Problem(problem, 0, f"{problem} at position 0: something")] if problem else []
    ids = np.arange(12, dtype=np.int32)
    return Generation(ids, 2, list(segments), problems, prompt, prompt + text, finished)
