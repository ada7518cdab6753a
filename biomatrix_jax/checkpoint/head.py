"""`model.json`: what all steps of a checkpoint directory have in common, and the files it carries.

The files are told by their SHA-256, so that one that was lost or is another is found when the
directory is opened.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biomatrix_jax.config import ModelConfig, from_dict
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import inside, read_json, sha256
from biomatrix_jax.tokens.tokenizer_files import TOKENIZER_FILES, copy_files

FORMAT = 1
FILE = "model.json"
CARRIED = "hf"
CARRIED_FILES = ("config.json", *TOKENIZER_FILES)


def write(
    directory: Path,
    config: ModelConfig,
    carried: str | os.PathLike | None,
    made: Mapping[str, Any],
) -> None:
    files = directory / CARRIED
    files.mkdir()
    names = copy_files(carried, files, CARRIED_FILES) if carried is not None else []
    head = {
        "format": FORMAT,
        "model": dataclasses.asdict(config),
        "made": dict(made),
        "carried": {name: sha256(files / name) for name in names},
    }
    (directory / FILE).write_text(json.dumps(head, indent=1) + "\n")


def read(directory: Path) -> tuple[ModelConfig, dict[str, Any]]:
    """-> (architecture, how it was made).

    Raises:
      BadInput: `directory` is no checkpoint, or a file that it carries is missing or another.
    """
    path = directory / FILE
    if not path.is_file():
        raise BadInput(f"{directory} is not a checkpoint: no {FILE} in it")
    head = read_json(path)
    if head.get("format") != FORMAT:
        raise BadInput(f"{path}: format {head.get('format')!r}, this version reads {FORMAT}")
    config = _read_config(head, path)
    made = head.get("made")
    if not isinstance(made, dict):
        raise BadInput(f"{path}: made must say how the checkpoint was made, not {made!r}")
    _check_carried(head, directory)
    return config, made


def _read_config(head: dict, path: Path) -> ModelConfig:
    tree = head.get("model")
    if not isinstance(tree, dict):
        raise BadInput(f"{path}: model must be a configuration, not {tree!r}")
    config = from_dict(ModelConfig, tree, str(path))
    # `write` gives all of it: a default in its place would be another function or files lost.
    if missing := dataclasses.asdict(config).keys() - tree.keys():
        raise BadInput(f"{path}: model lacks {', '.join(sorted(missing))}")
    return config


def _check_carried(head: dict, directory: Path) -> None:
    digests = head.get("carried")
    if not isinstance(digests, dict):
        raise BadInput(f"{directory / FILE}: carried must list files, not {digests!r}")
    for name, digest in digests.items():
        path = inside(directory / CARRIED, name)
        if path is None:
            raise BadInput(f"{directory / CARRIED / name} is missing: copy the checkpoint whole")
        if sha256(path) != digest:
            raise BadInput(f"{path} is not the file that the checkpoint was made with: restore it")
