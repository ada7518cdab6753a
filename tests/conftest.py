"""What all tests share: where the reference assets are, and eight simulated devices."""

import os

# Before JAX is first imported: the flag is read once, when its CPU client starts.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_reference() -> Path:
    """Reference assets (released weights, worked examples) that are not part of this project."""
    root = Path(os.environ.get("BIOMATRIX_ASSETS", REPOSITORY.parent / "shared"))
    reference = root / "reference"
    if not reference.is_dir():
        pytest.skip(f"no reference assets at {root}: set BIOMATRIX_ASSETS to have this test run")
    return reference


@pytest.fixture(scope="session", autouse=True)
def eight_devices():
    """JAX started with all of them, whichever test is the first: one may ask for fewer."""
    import jax

    if jax.default_backend() == "cpu":  # tests of kernels run on a GPU, too
        assert len(jax.devices()) == 8
