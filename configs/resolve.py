"""Writes configs/resolved/: every shipped configuration with all its values spelled out.

They are committed, so that a change of a default shows which runs it changes. Run it after any
change to a configuration or to a default: python configs/resolve.py
"""

from pathlib import Path

from biomatrix_jax.config import dump, load
from biomatrix_jax.files import atomic_file

CONFIGS = Path(__file__).parent
RESOLVED = CONFIGS / "resolved"


def shipped() -> list[Path]:
    """The configurations as written, each saying only what differs from the defaults."""
    return sorted(CONFIGS.glob("*.yaml"))


def main() -> None:
    for path in shipped():
        with atomic_file(RESOLVED / path.name, "w") as file:
            file.write(dump(load(path)))


if __name__ == "__main__":
    main()
