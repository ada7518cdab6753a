"""A sweep from the command line's words to files: plan every point, rank, write, recommend."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from biomatrix_jax import provenance
from biomatrix_jax.config import RunConfig, load
from biomatrix_jax.errors import BadInput
from biomatrix_jax.machine import cores
from biomatrix_jax.plan.sweep import page, pool, words
from biomatrix_jax.plan.sweep.cache import Cache, key, user_directory
from biomatrix_jax.plan.sweep.default import default_axes
from biomatrix_jax.plan.sweep.grid import Point, points, spell, split
from biomatrix_jax.plan.sweep.outcome import INVALID, Outcome, as_json, outcome, ranked
from biomatrix_jax.plan.words import mesh_overrides, size


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes:
      outcomes: of all points, the best first.
      config, fixed, topology: as they were given.
    """

    outcomes: list[Outcome]
    config: str
    fixed: list[str]
    topology: str

    @property
    def planned(self) -> bool:
        """Whether any point was; otherwise each is invalid or its compiler failed."""
        return any(one.plan for one in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"topology": self.topology, "points": as_json(self.outcomes)}

    def text(self) -> str:
        """The table, what to take, and the command to paste."""
        best = self.outcomes[0]
        parts = [words.table(self.outcomes), words.recommendation(self.outcomes)]
        if best.plan and not best.reason:
            parts.append(words.command(best, self.config, self.fixed))
        return "\n\n".join(parts)


def mesh_axis(meshes: Sequence[str]) -> str:
    """Of fsdp=8 and fsdp=4,tensor=2 the override mesh=[{fsdp: 8}, {fsdp: 4, tensor: 2}].

    Raises:
      BadInput: as `mesh_overrides`.
    """
    sizes = []
    for mesh in meshes:
        named = (override.removeprefix("mesh.").split("=") for override in mesh_overrides(mesh))
        # fsdp alone takes by itself what is left, so its 1 has to be said.
        sizes.append({axis: int(size) for axis, size in named if size != "1" or axis == "fsdp"})
    return f"mesh={spell(sizes)}"


def sweep(
    config: str,
    topology: str,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    jobs: int | None = None,
) -> Sweep:
    """Plans a grid of points, each in a process of its own, those planned before from the cache.

    Args:
      config: a file, or the name of a shipped configuration.
      topology: as `plan.find_devices` takes it.
      overrides: those with lists are the axes, see `grid.split`; without any, `default_axes`.
      out: a directory for results.csv, results.json, report.html, pictures and the cache; None
        writes nothing, and the cache is the user's own.
      jobs: the most processes at a time; None: as many as there are cores. TPUs at hand allow one.

    Raises:
      BadInput: the configuration without the axes, an axis or the topology are bad, or no point at
        all can be planned.
    """
    fixed, axes = split(overrides)
    base = load(config, fixed)
    here = _describe(topology)
    grid = points(axes or default_axes(base, here["devices"], here["slices"]))
    cache = Cache(out / "cache" if out else user_directory())
    if topology == "here" and here["kind"].startswith("TPU"):
        jobs = 1  # a TPU belongs to one process at a time
    device = f"{here['devices']} x {here['kind']}"
    found = _plan_all(config, fixed, grid, topology, device, cache, jobs or cores())
    outcomes = ranked(found)
    if all(one.status == INVALID for one in outcomes):
        raise BadInput(f"none of {len(outcomes)} points can be planned: {outcomes[0].reason}")
    if out:
        about = {
            "topology": topology,
            "devices": device,
            "versions": ", ".join(
                f"{name} {number}" for name, number in provenance.versions().items()
            ),
        }
        page.write(out, outcomes, base, config, fixed, about)
    return Sweep(outcomes, config, fixed, topology)


def _describe(topology: str) -> dict[str, Any]:
    """What a topology is here. In a process of its own: to look at devices is to take them."""
    replies: dict[int, pool.Reply] = {}
    pool.run([{"topology": topology}], 1, replies.__setitem__)
    if "invalid" in replies[0]:
        raise BadInput(replies[0]["invalid"])
    if "failed" in replies[0]:
        raise BadInput(f"topology {topology}: {replies[0]['failed']}")
    return replies[0]


def _plan_all(config, fixed, grid: Sequence[Point], topology, device, cache, jobs) -> list[Outcome]:
    """The outcome of each point of `grid`, in its order."""
    found: dict[int, Outcome] = {}
    requests: dict[str, dict] = {}
    asking: dict[str, list[tuple[int, RunConfig]]] = {}  # points that come to the same plan
    need = 0
    with Progress(len(grid)) as progress:

        def take(index: int, one: Outcome) -> None:
            found[index] = one
            progress.done(one)

        def answered(place: int, reply: pool.Reply) -> None:
            name = list(requests)[place]
            cache.keep(name, requests[name], reply)
            for index, run in asking[name]:
                take(index, outcome(grid[index], run, reply))

        for index, point in enumerate(grid):
            try:
                run = load(config, [*fixed, *point.overrides])
            except BadInput as error:
                take(index, Outcome(point, None, INVALID, reason=str(error)))
                continue
            request = {"config": dataclasses.asdict(run), "topology": topology}
            name = key(request, device)
            if reply := cache.get(name):
                need = max(need, reply["host_bytes"])
                take(index, outcome(point, run, reply, cached=True))
            else:
                requests[name] = request
                asking.setdefault(name, []).append((index, run))
        pool.run(list(requests.values()), jobs, answered, need)
    return [found[index] for index in range(len(grid))]


class Progress:
    """A bar on a terminal, a line for each point elsewhere, both on standard error."""

    def __init__(self, total: int):
        self._total, self._count, self._bar = total, 0, None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit="point", file=sys.stderr, leave=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()

    def done(self, one: Outcome) -> None:
        self._count += 1
        settings = ", ".join(words.shown(value) for _, value in one.point.settings)
        came = one.reason or one.status
        if one.plan:
            came = f"{size(one.plan['peak_bytes'])}, {came}"
        line = f"[{self._count}/{self._total}] {settings}: {came}{' (cached)' * one.cached}"
        if self._bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self._bar.set_postfix_str(f"{settings}: {came}"[:60])
            self._bar.update()
