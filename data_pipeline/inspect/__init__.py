"""What a data directory holds: checked, counted, and some of it decoded back to segments."""

import json
import os
from pathlib import Path

from data_pipeline.inspect.checks import read_checked
from data_pipeline.inspect.samples import decode_rows
from data_pipeline.inspect.summary import summarize
from data_pipeline.inspect.text import told


def inspect(directory: str | os.PathLike, *, rows: int = 2, as_json: bool = False) -> str:
    """Reads every byte, compares it with the manifest, and tells what is there.

    Args:
      rows: how many rows of each source to decode, from its first on.
      as_json: one JSON object instead of text for people.

    Raises:
      BadInput: no complete data directory, or one whose files differ from the manifest: the first
        difference is named, in a shard with the record that is damaged.
    """
    directory = Path(directory)
    manifest = read_checked(directory)
    found = {
        "directory": str(directory),
        **summarize(manifest),
        "samples": decode_rows(directory, manifest, rows),
    }
    return json.dumps(found, indent=1) if as_json else "\n".join(told(found))
