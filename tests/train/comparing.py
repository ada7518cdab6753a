"""How trees of arrays are compared, and programs compiled for that."""

import jax
import numpy as np

QUICK = {"xla_backend_optimization_level": 0}  # what is computed is the same, to rounding


def compare(found, expected, rtol, of_largest):
    """Leaf by leaf: relative to each value, and absolute as a part of the leaf's largest."""
    for (path, e), f in zip(
        jax.tree.leaves_with_path(expected), jax.tree.leaves(found), strict=True
    ):
        largest = np.abs(e).max()
        assert largest > 0, path
        np.testing.assert_allclose(f, e, rtol, of_largest * largest, err_msg=str(path))
