"""The planner: what a run needs of each device, without the devices."""

from biomatrix_jax.plan.plan import Plan, plan
from biomatrix_jax.plan.topology import find_devices

__all__ = ["Plan", "find_devices", "plan"]
