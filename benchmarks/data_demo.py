"""`make data-demo`: a mixture from real downloads through the whole data pipeline, and its figures.

    python benchmarks/data_demo.py [--work DIR] [--workers N] [--sample N] [--limit N] [--json FILE]

Fetches the corpora (see demo_corpora.py) and does with them what a user does: counts the tokens
that the molecules need, extends the base tokenizer by them, builds packed rows of the recipe
data_demo, checks every byte and draws batches. Told is what came of each record (in = used +
dropped, by reason), tokens by modality, fill, and records per second of each stage.

Beside it stands the plainest script for the same job, peers/plain_data.py. Both take the first
--sample records of each source, one process each, by stage; a build has more stages (what
repeats and what tests hold is removed), and is timed in the whole. --limit is for a quick trial: at
most so many entries of each source.
"""

import argparse
import contextlib
import itertools
import json
import os
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import demo_corpora
import demo_stages
import jax
import machine
import numpy as np

from biomatrix_jax import config
from biomatrix_jax.config import DataConfig
from biomatrix_jax.data.loader import Loader
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import base_tokenizer_path, extend_tokenizer
from biomatrix_jax.tokens.counts import choose
from data_pipeline import counting, recipe
from data_pipeline.build import build
from data_pipeline.engine import Engine
from data_pipeline.engine.local import local
from data_pipeline.inspect import inspect, summarize
from data_pipeline.recipe import Recipe, SourceRecipe

PROTEIN_CODES = 4096  # of the protein tokenizer in the box
BATCH_ROWS, BATCHES = 16, 20
PACKAGES = ("biomatrix-jax", "rdkit", "selfies", "tokenizers", "jax", "array-record", "grain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/data-demo"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sample", type=int, default=2000, help="records of each source")
    parser.add_argument("--limit", type=int, help="entries of each source at most, for a trial")
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    # An accelerator serves one process: the workers, which see the environment, and this one, where
    # JAX has been imported, do without.
    os.environ["JAX_PLATFORMS"] = "cpu"
    jax.config.update("jax_platforms", "cpu")
    target = arguments.json and arguments.json.resolve()
    try:
        demo_corpora.lay_out(arguments.work)
        with contextlib.chdir(arguments.work):  # the recipe's paths are relative
            result = run(arguments.workers, arguments.sample, arguments.limit)
    except BadInput as error:
        print(f"data_demo: {error}", file=sys.stderr)
        sys.exit(2)
    if target:
        target.write_text(json.dumps(result, indent=1) + "\n")
    print(text(result))


def run(workers: int, sample: int, limit: int | None) -> dict[str, Any]:
    """Does it all in the working directory."""
    demo = limited(recipe.load("data_demo"), limit)
    Path("recipe.yaml").write_text(config.dump(demo))
    for made in ("counts", "tokenizer", "data", "sample"):
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(f"{made}.incomplete", ignore_errors=True)  # of a run that was interrupted
    about = machine.describe(PACKAGES, Path())
    clock, engine = Clock(), local(workers)
    vocabulary = count_and_extend(demo, clock, engine)
    with clock.of("build"):
        manifest = build(demo, "data", engine=engine, progress=clock.progress)
    with clock.of("inspect"):
        inspect("data", rows=1)
    drawn = draw(manifest)
    say("the first records of each source in one process, and by the plainest script")
    Path("sample").mkdir()
    part = demo_stages.sample(demo, sample)
    Path("sample/recipe.yaml").write_text(config.dump(part))
    compared = {
        "records": sample,
        "ours": demo_stages.ours(part, Path("sample/ours")),
        "plain": demo_stages.plain(
            Path("sample/recipe.yaml"), Path("tokenizer"), Path("sample/plain")
        ),
    }
    data = summarize(manifest)
    return {
        "machine": about,
        "workers": workers,
        "limit": limit,
        "vocabulary": vocabulary,
        "data": data,
        "totals": totals(data),
        "stages": rates(clock.stages, data),
        "drawn": drawn,
        "sample": compared,
    }


def limited(demo: Recipe, limit: int | None) -> Recipe:
    def less(source: SourceRecipe) -> SourceRecipe:
        return replace(source, options=source.options | {"limit": limit})

    return replace(demo, sources=tuple(map(less, demo.sources))) if limit else demo


def count_and_extend(demo: Recipe, clock: "Clock", engine: Engine) -> dict[str, Any]:
    """The recipe's tokenizer: that in the box with what its corpora need."""
    with clock.of("count"):
        counting.count(demo, "counts", engine=engine, progress=clock.progress)
    counts = Path("counts")
    chosen = choose(counts / counting.JOINT, counts / counting.SYMBOLS)
    for note in chosen.notes:
        say(note)
    extended = extend_tokenizer(
        base_tokenizer_path(),
        demo.tokenizer,
        selfies=chosen.selfies,
        molecule_tokens=chosen.molecule_tokens,
        protein_codes=PROTEIN_CODES,
    )
    return {
        "size": extended.size,
        "selfies": len(chosen.selfies),
        "molecule_tokens": len(chosen.molecule_tokens),
        "protein_codes": PROTEIN_CODES,
    }


class Clock:
    """Seconds on the clock and of all processors, by stages of commands; what is decided between
    two stages counts with the first."""

    def __init__(self):
        self.stages: list[dict[str, Any]] = []
        self._command = ""
        self._open: dict[str, Any] | None = None
        self._since = (0.0, 0.0)

    @contextlib.contextmanager
    def of(self, command: str) -> Iterator[None]:
        self._command, self._since = command, _spent()
        yield
        if self._open is None:
            self._begin("all", 1)
        self._end()

    def progress(self, stage: str, done: int, tasks: int) -> None:
        if self._open is not None and self._open["stage"] == stage:
            return
        if self._open is not None:
            self._end()
        self._begin(stage, tasks)

    def _begin(self, stage: str, tasks: int) -> None:
        self._open = {"command": self._command, "stage": stage, "tasks": tasks}

    def _end(self) -> None:
        now = _spent()
        took = [after - before for after, before in zip(now, self._since, strict=True)]
        self.stages.append(self._open | {"seconds": took[0], "processor_seconds": took[1]})
        say(f"{self._command}, {self._open['stage']}: {took[0]:,.1f} s")
        self._open, self._since = None, now


def _spent() -> tuple[float, float]:
    """Seconds on the clock, and of processors by this process and those it waited for."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(use.ru_utime + use.ru_stime for use in uses)


def rates(stages: list[dict[str, Any]], data: dict[str, Any]) -> list[dict[str, Any]]:
    """The stages with what each of them goes through, and how many of it per second."""
    records = sum(source["records"] for source in data["sources"])
    amounts = {"rows": ("documents", data["documents"]), "all": ("rows", data["rows"])}
    told = []
    for stage in stages:
        unit, amount = amounts.get(stage["stage"], ("records", records))
        per = {"unit": unit, "amount": amount, "per_second": amount / stage["seconds"]}
        told.append(stage | per)
    return told


def totals(data: dict[str, Any]) -> dict[str, Any]:
    """Of all sources, by reason, checked to add up."""
    everything = data["sources"]
    told: dict[str, Any] = {
        key: sum(source[key] for source in everything)
        for key in ("records", "used", "instances", "documents", "total_tokens")
    }
    for key in ("dropped", "lost", "rejected"):
        counts: Counter[str] = Counter()
        for source in everything:
            counts.update(source[key])
        told[key] = dict(counts.most_common())
    assert told["records"] == told["used"] + sum(told["dropped"].values())
    assert told["instances"] == told["documents"] + sum(told["rejected"].values())
    assert told["total_tokens"] == sum(data["tokens"].values())
    return told


def draw(manifest: Manifest) -> dict[str, float]:
    """Batches of the mixture as training draws them."""
    drawn = DataConfig(row_length=manifest.row_length, batch_rows=BATCH_ROWS)
    batches = Loader("data", drawn, seed=0).iterate()
    began, tokens = time.perf_counter(), 0
    with contextlib.closing(batches):
        for batch in itertools.islice(batches, BATCHES):
            tokens += int(np.count_nonzero(batch["segment_ids"]))
    seconds = time.perf_counter() - began
    return {"batches": BATCHES, "tokens": tokens, "tokens_per_second": tokens / seconds}


def text(result: dict[str, Any]) -> str:
    """For people."""
    all_in, data, compared = result["totals"], result["data"], result["sample"]
    tokens = (f"{name} {number:,}" for name, number in data["tokens"].items() if number)
    lines = [
        machine.text(result["machine"]),
        "",
        f"{all_in['records']:,} records = {all_in['used']:,} used + "
        f"{sum(all_in['dropped'].values()):,} dropped; {all_in['instances']:,} instances = "
        f"{all_in['documents']:,} documents + {sum(all_in['rejected'].values()):,} rejected",
        *reasons(data),
        "",
        f"{data['total_tokens']:,} tokens: {', '.join(tokens)}",
        f"{data['rows']:,} rows, {data['fill']:.2%} filled: "
        + ", ".join(f"{source['name']} {source['fill']:.2%}" for source in data["sources"]),
        f"batches drawn: {result['drawn']['tokens_per_second']:,.0f} tokens/s",
        "",
        f"{'stage':20}{'seconds':>10}{'processor':>12}{'a second':>12}",
    ]
    for stage in result["stages"]:
        name = f"{stage['command']}, {stage['stage']}"
        lines.append(
            f"{name:20}{stage['seconds']:10.1f}{stage['processor_seconds']:12.1f}"
            f"{stage['per_second']:12,.0f} {stage['unit']}"
        )
    lines += [
        "",
        f"the first {compared['records']:,} records of each source (fewer of structures), by "
        "processor time:",
    ]
    lines += demo_stages.table(compared["ours"], compared["plain"])
    return "\n".join(lines)


def reasons(data: dict[str, Any]) -> list[str]:
    """What was left out of which source, and why."""
    return [
        f"  {source['name']}, {what}: {number:,}, {reason} (first: {source['examples'][reason]})"
        for source in data["sources"]
        for what in ("dropped", "lost", "rejected")
        for reason, number in source[what].items()
    ]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
