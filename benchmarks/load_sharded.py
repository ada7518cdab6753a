"""Loads a model over eight simulated devices, each with a slice: for benchmarks/convert.py.

python benchmarks/load_sharded.py DIRECTORY
"""

import os
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
)

import jax
from flax import nnx

import biomatrix_jax as bm
from biomatrix_jax.config import MeshConfig
from biomatrix_jax.sharding import make_mesh

model = bm.load(sys.argv[1], mesh=make_mesh(MeshConfig(fsdp=8)))
jax.block_until_ready(nnx.state(model, nnx.Param))
