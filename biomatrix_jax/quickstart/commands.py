"""Command lines that do by hand what a stage did."""

import json
import re
import shlex
from pathlib import Path


def command(*words) -> str:
    """A command line of ours, to be copied into a shell."""
    return shlex.join(["biomatrix", *map(str, words)])


def override(key: str, path: Path) -> str:
    """`key=path`, quoted where the path has characters that mean something in YAML."""
    text = str(path)
    plain = re.fullmatch(r"[\w./-]+", text)
    return f"{key}={text if plain else json.dumps(text, ensure_ascii=False)}"
