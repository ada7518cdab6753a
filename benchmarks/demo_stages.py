"""How long each stage of a build takes of one process, ours and the plainest script's.

Both give, for each source: records read, documents, tokens, rows, fill, and seconds of processor
time by stage of STAGES. Both go through each source twice and time the second time, when all
programs are compiled.
"""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from data_pipeline import context, pack, sources
from data_pipeline.composition import compose
from data_pipeline.context import Context
from data_pipeline.documents import encoded
from data_pipeline.recipe import Recipe, SourceRecipe, reader_options
from data_pipeline.shards import write_shard
from data_pipeline.sources.tally import Tally

STAGES = ("read", "compose", "tokenize", "pack", "write")
A_CHAIN = 50  # a protein's structure takes as long as about so many other records
PEER = Path(__file__).with_name("peers") / "plain_data.py"

Figures = dict[str, dict[str, Any]]  # by source


def sample(recipe: Recipe, records: int) -> Recipe:
    """The first records of each source; fewer of structures."""

    def less(source: SourceRecipe) -> SourceRecipe:
        limit = max(1, records // A_CHAIN) if source.reader == "wwpdb" else records
        return replace(source, options=source.options | {"limit": limit})

    return replace(recipe, sources=tuple(map(less, recipe.sources)))


def plain(recipe: Path, tokenizer: Path, out: Path) -> Figures:
    """Runs the peer in a process of its own."""
    command = [sys.executable, str(PEER), str(recipe), str(tokenizer), str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def ours(recipe: Recipe, out: Path) -> Figures:
    """The pipeline's own functions, one stage after the other."""
    tools, found = context.load(recipe), {}
    for source, _ in itertools.product(recipe.sources, range(2)):
        found[source.name] = _source(recipe, source, tools, out / f"{source.name}.arrayrecord")
    return found


def _source(recipe: Recipe, source: SourceRecipe, tools: Context, path: Path) -> dict[str, Any]:
    options = reader_options(source)
    files = sources.input_files(source.reader, source.path, options)
    seconds: dict[str, float] = {}
    tally = Tally()
    found = _timed(
        seconds, "read", lambda: list(sources.read_files(source.reader, files, options, tally))
    )
    instances = _timed(
        seconds,
        "compose",
        lambda: list(
            compose(
                found,
                source.composition,
                recipe.seed,
                Tally(),
                tokenizers=tools.structure_tokenizers,
                spells=tools.spells,
            )
        ),
    )
    counts = SimpleNamespace(encoded=Tally())
    documents = _timed(
        seconds, "tokenize", lambda: list(encoded(instances, tools.vocabulary, counts))
    )
    ends = context.end_tokens(tools.vocabulary)
    rows = _timed(
        seconds,
        "pack",
        lambda: list(
            pack.pack(pack.cut(_joined(documents), recipe.row_length, ends)[0], recipe.row_length)
        ),
    )
    _timed(seconds, "write", lambda: write_shard(rows, path))
    tokens = sum(len(one) for one, _ in documents)
    return {
        "records": tally.records_in,
        "documents": len(documents),
        "tokens": tokens,
        "rows": len(rows),
        "fill": tokens / (len(rows) * recipe.row_length),
        "seconds": seconds,
    }


def _joined(documents: list[tuple[np.ndarray, np.ndarray]]) -> pack.Documents:
    tokens, modality = (np.concatenate(arrays) for arrays in zip(*documents, strict=True))
    lengths = np.array([len(one) for one, _ in documents], np.int64)
    starts = np.cumsum(lengths) - lengths
    return pack.Documents(tokens, modality, starts, lengths, np.zeros(len(lengths), int))


def _timed(seconds: dict[str, float], stage: str, work: Callable[[], Any]) -> Any:
    began = time.process_time()
    done = work()
    seconds[stage] = time.process_time() - began
    return done


def table(own: Figures, peer: Figures) -> list[str]:
    """Records per second of processor time by source and stage, the peer's behind."""
    stages = (*STAGES, "all")
    lines = [f"{'records/s, ours (plain)':24}" + "".join(f"{stage:>20}" for stage in stages)]
    for name, figures in own.items():
        cells = [f"{name:24}"]
        for stage in stages:
            both = [_rate(one, stage) for one in (figures, peer[name])]
            cells.append(f"{both[0]:11,.0f} ({both[1]:,.0f})".rjust(20))
        lines.append("".join(cells))
    return lines


def _rate(figures: dict[str, Any], stage: str) -> float:
    seconds = figures["seconds"]
    spent = sum(seconds.values()) if stage == "all" else seconds.get(stage, 0.0)
    return figures["records"] / spent if spent else float("inf")
