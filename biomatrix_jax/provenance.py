"""What made a result: versions of the code and of the packages that decide its numbers."""

import functools
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

# Those of a training run; jaxlib holds the compiler, the last two its parts for devices.
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
DEVICE_PACKAGES = ("libtpu", "jax-cuda12-plugin", "jax-cuda13-plugin")


def code(package: Path = Path(__file__).parent) -> dict[str, Any]:
    """The version of this package; where it lies in its own git checkout and there is a git, the
    commit too, and whether tracked files differ from it."""
    return {"biomatrix-jax": metadata.version("biomatrix-jax")} | _checkout(package)


def versions(packages: Iterable[str] = (*PACKAGES, *DEVICE_PACKAGES)) -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def _checkout(package: Path) -> dict[str, Any]:
    root = package.parent
    # Installed into an environment, it may lie in a checkout of something else.
    if _git(root, "rev-parse", "--show-prefix") != "" or not _git(root, "ls-files", package.name):
        return {}
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": _git(root, "rev-parse", "HEAD"), "dirty": bool(changed)}


def _git(directory: Path, *arguments: str) -> str | None:
    """What git says; None where it fails or is not there."""
    command = ["git", "-C", str(directory), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
