"""What the quickstart did: stages with their times, told while they run and kept for the report."""

import contextlib
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from biomatrix_jax import provenance
from biomatrix_jax.machine import cores

PACKAGES = ("biomatrix-jax", "jax", "flax", "optax", "orbax-checkpoint", "grain", "rdkit", "numpy")


@dataclass
class Stage:
    """One step of the main job.

    Attributes:
      name: what it does, in a few words.
      command: the command that does the same by hand; empty where there is none.
      outcome: what came of it, in one line.
      seconds: wall time.
    """

    name: str
    command: str
    outcome: str = ""
    seconds: float = 0.0


@dataclass
class Journal:
    """The stages so far."""

    total: int
    stages: list[Stage] = field(default_factory=list)

    @contextlib.contextmanager
    def stage(self, name: str, command: str = "") -> Iterator[Stage]:
        """Times a block; the block says what came of it by setting `outcome`."""
        stage = Stage(name, command)
        print(f"[{len(self.stages) + 1}/{self.total}] {name}", file=sys.stderr, flush=True)
        began = time.perf_counter()
        yield stage
        stage.seconds = time.perf_counter() - began
        self.stages.append(stage)
        print(f"      {stage.outcome} ({stage.seconds:.1f} s)", file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide the numbers."""
    return provenance.versions(PACKAGES)


def machine() -> str:
    """One line: processor architecture, cores this process may use, system."""
    system = f"{platform.system()} {platform.release()}"
    return f"{platform.machine()}, {cores()} CPU cores, {system}"
