"""Marks of tests that need the compiler of a device that is not there."""

import importlib.util

import pytest

with_libtpu = pytest.mark.skipif(
    not importlib.util.find_spec("libtpu"), reason="needs libtpu, the TPUs' compiler"
)
with_cuda = pytest.mark.skipif(
    not importlib.util.find_spec("jax_cuda12_plugin"), reason="needs JAX's CUDA plugin"
)
