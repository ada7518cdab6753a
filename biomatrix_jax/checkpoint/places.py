"""Which directories are checkpoints, and which complete steps they hold."""

import os
import re
from pathlib import Path

import orbax.checkpoint as ocp

from biomatrix_jax.errors import BadInput

INVENTORY = "inventory.json"
ITEMS = ("params", "average", "training")  # trees of arrays that a step may hold
PARTS = (*ITEMS, "data", INVENTORY, "_CHECKPOINT_METADATA")


def check_place(directory: str | os.PathLike) -> None:
    """Raises BadInput for a path with wildcards in it: Orbax takes them for a pattern when it ends
    a save, and what it saved there could never be read."""
    if found := sorted(set("[]*") & set(str(absolute(directory)))):
        raise BadInput(
            f"{directory}: checkpoints cannot lie under a path with {' '.join(found)} in its name: "
            "choose another place"
        )


def locate(path: str | os.PathLike) -> tuple[Path, int]:
    """(checkpoint directory, step) of a run, a checkpoint directory (latest step) or a step in it.

    Raises:
      BadInput: `path` is none of them, or holds no complete step.
    """
    path = absolute(path)
    if path.name.isdecimal() and (path.parent / "model.json").is_file():
        if path.name not in map(str, complete_steps(path.parent)):
            raise BadInput(f"{path.parent} holds no step {path.name}")
        return path.parent, int(path.name)
    for directory in (path, path / "checkpoints"):
        if (directory / "model.json").is_file():
            steps = complete_steps(directory)
            if not steps:
                raise BadInput(f"{directory} holds no complete step yet")
            return directory, steps[-1]
    if not path.exists():
        raise BadInput(f"{path} does not exist")
    raise BadInput(f"{path} is neither a checkpoint nor a run: no model.json in it")


def is_checkpoint(path: str | os.PathLike) -> bool:
    """Whether `path` is a run, a checkpoint directory, or a step in one."""
    path = absolute(path)
    places = [path, path / "checkpoints"] + ([path.parent] if path.name.isdecimal() else [])
    return any((place / "model.json").is_file() for place in places)


def complete_steps(directory: Path) -> list[int]:
    """Steps under `directory` that were saved to the end, ascending.

    A step that lost files since is one of them: reading it says which, and an older one does not
    take its place.
    """
    found = folders_called_steps(directory).items()
    # Neither an empty folder has them nor another program's.
    return sorted(step for step, parts in found if parts & {"params", INVENTORY})


def folders_called_steps(directory: Path) -> dict[int, set[str]]:
    """The parts in each finished folder with the name of a step: not "0007", not "eval_7"."""
    folders = [Path(path) for path in ocp.utils.checkpoint_steps_paths(directory)]
    called = [folder for folder in folders if re.fullmatch("0|[1-9][0-9]*", folder.name)]
    return {int(f.name): {part for part in PARTS if (f / part).exists()} for f in called}


def absolute(path: str | os.PathLike) -> Path:
    return Path(os.path.abspath(path))
