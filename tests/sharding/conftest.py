"""Devices that the compiler knows of and nobody has to own."""

import pytest

from biomatrix_jax.errors import BadInput


@pytest.fixture(scope="session")
def tpu_devices():
    """Name of a topology -> its devices."""
    from biomatrix_jax.plan.topology import find_devices

    def find(name):
        try:
            return find_devices(name)
        except BadInput as error:
            if "not installed" not in str(error):
                raise
            pytest.skip(str(error))

    return find
