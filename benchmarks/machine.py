"""What a benchmark's numbers were taken on."""

import datetime
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from biomatrix_jax.machine import cores


def describe(packages: tuple[str, ...], disk: Path | None = None) -> dict:
    """The machine now, as a JSON object.

    Args:
      packages: those whose versions matter; one that is not installed is left out.
      disk: a directory whose file system matters.
    """
    about = {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": " ".join([platform.system(), *re.findall(r"^[\d.]*\d", platform.release())]),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": dict(filter(None, map(_version, packages))),
    }
    return about | ({"file_system": _file_system(disk)} if disk else {})


def text(about: dict) -> str:
    """One line for people."""
    parts = [
        f"{about['processor']}, {about['cores']} cores",
        f"{about['memory_bytes'] / 1e9:.0f} GB",
        about["kernel"],
        *([about["file_system"]] if "file_system" in about else []),
        f"load {about['load']:.1f}",
        f"Python {about['python']}",
        *(f"{name} {number}" for name, number in about["versions"].items()),
        about["date"],
    ]
    return ", ".join(parts)


def _processor() -> str:
    names = Path("/proc/cpuinfo")
    lines = names.read_text().splitlines() if names.exists() else []
    models = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _version(package: str) -> tuple[str, str] | None:
    try:
        return package, version(package)
    except PackageNotFoundError:
        return None


def _file_system(directory: Path) -> str:
    """Its type: that of the deepest mount point which the directory lies under."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    place = directory.resolve()
    above = [(point, kind) for _, point, kind, *_ in mounts if place.is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]))[1]
