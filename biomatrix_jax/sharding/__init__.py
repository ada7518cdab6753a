"""Where arrays lie: the mesh, and the rule table from logical axes to mesh axes."""

from biomatrix_jax.sharding.mesh import make_mesh
from biomatrix_jax.sharding.rules import constrain, parameter_shardings, spec

__all__ = ["constrain", "make_mesh", "parameter_shardings", "spec"]
