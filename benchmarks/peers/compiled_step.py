"""What a compiled step says of itself, written down alike for every side of a comparison."""

import contextlib
import json
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Fills in the seconds that its block takes: on the clock, and of all cores together."""
    seconds: dict[str, float] = {}
    clock, cores = time.perf_counter(), time.process_time()
    yield seconds
    seconds["compile_seconds"] = time.perf_counter() - clock
    seconds["compile_core_seconds"] = time.process_time() - cores


def keep(compiled: Any, seconds: dict[str, float], folder: Path, packages: tuple[str, ...]) -> None:
    """Writes the program's text, and its memory on a device in bytes, into `folder`."""
    memory = compiled.memory_analysis()
    said = {
        "argument_bytes": memory.argument_size_in_bytes,
        "temp_bytes": memory.temp_size_in_bytes,
        "alias_bytes": memory.alias_size_in_bytes,
        "peak_bytes": memory.peak_memory_in_bytes,
        **seconds,
        "versions": {name: version(name) for name in packages},
    }
    (folder / "program.txt").write_text(compiled.as_text())
    (folder / "said.json").write_text(json.dumps(said))
