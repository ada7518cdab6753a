"""Plans that were made before: one small JSON file each, named by what decides the plan."""

import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from biomatrix_jax import provenance
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file, read_json
from biomatrix_jax.plan.memory import GPU_SHARE

# Of this package, what the step is made of and how it is read.
SOURCES = ("config.py", "chips.py", "model", "sharding", "train", "plan", "tokens/segments.py")
OTHERWISE = "plan/sweep"  # how points are chosen and shown, not what a plan says
VARIABLES = (
    *("XLA_FLAGS", "LIBTPU_INIT_ARGS", "TPU_LIBRARY_PATH", "JAX_DEFAULT_MATMUL_PRECISION"),
    *GPU_SHARE,
)


class Cache:
    """Replies of workers by key, in a directory that is made when the first is kept."""

    def __init__(self, directory: Path):
        self.directory = directory

    def get(self, key: str) -> dict[str, Any] | None:
        """What was kept; None where nothing was, or the file is damaged."""
        try:
            return read_json(self._path(key))["reply"]
        except (BadInput, KeyError):
            return None

    def keep(self, key: str, request: dict, reply: dict) -> None:
        """Keeps a plan, or why there can be none. What failed is tried again the next time."""
        if "failed" not in reply:
            with atomic_file(self._path(key), "w") as file:
                json.dump({"request": request, "reply": reply}, file, indent=1)

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}.json"


def user_directory() -> Path:
    """Where the user's own cache of plans is."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "biomatrix-jax" / "plans"


def key(request: dict, device: str) -> str:
    """Names a plan: two with the same name are the same.

    Args:
      request: the resolved configuration and the topology.
      device: what the topology turned out to be here, for those that the machine decides.
    """
    decides = {"request": request, "device": device, **_surroundings()}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


@functools.cache
def _surroundings() -> dict[str, Any]:
    return {
        "versions": provenance.versions(),
        "variables": {name: os.environ.get(name) for name in VARIABLES},
        "source": _source_hash(Path(__file__).parents[2]),
    }


def _source_hash(package: Path) -> str:
    """Of the package's files that decide what is compiled and how it is read."""
    digest = hashlib.sha256()
    for name in SOURCES:
        found = package / name
        for path in sorted(found.rglob("*.py")) if found.is_dir() else [found]:
            inner = path.relative_to(package).as_posix()
            if not inner.startswith(OTHERWISE):
                digest.update(inner.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
