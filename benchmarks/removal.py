"""Memory and time of deciding which texts repeat others, as their number grows.

    python benchmarks/removal.py [--documents N ...] [--memory MB] [--json FILE]

Keys and signatures are made up and written as the first pass of a build writes them: one text in
twenty repeats an earlier one, one in ten nearly does, with nine of ten hashes in common. What is
measured is `decide`, a process of its own, which may use so many megabytes for sorting. Peak memory
has two figures: with the pages of mapped files, which the system can drop, and without them. A
text takes about 0.9 kB on the disk, where temporary files lie. Linux only.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import machine
import numpy as np
from measure import bare_interpreter, measure

from data_pipeline.recipe import Recipe, SourceRecipe
from data_pipeline.removal.decide import decide
from data_pipeline.removal.keys import FOLDER, PARTS, KeysTask
from data_pipeline.removal.near_duplicates import HASHES
from data_pipeline.removal.settings import Removal

OF_TASK = 100_000  # documents
REMOVAL = Removal(duplicates=True, near_duplicates=0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[800_000, 3_000_000])
    parser.add_argument("--memory", type=int, default=256, help="megabytes")
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)  # what children do
    parser.add_argument("--decide", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make, arguments.documents[0])
        return
    if arguments.decide:
        print(json.dumps(decided(arguments.decide, arguments.documents[0], arguments.memory)))
        return
    result = {
        "machine": machine.describe(("numpy",), Path(tempfile.gettempdir())),
        "memory_bytes": arguments.memory * 10**6,
        "bare_interpreter_bytes": bare_interpreter(sys.executable),
        "results": [one(documents, arguments.memory) for documents in arguments.documents],
    }
    print(machine.text(result["machine"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def one(documents: int, memory: int) -> dict:
    with tempfile.TemporaryDirectory() as scratch:
        again = [sys.executable, __file__, "--documents", documents, "--memory", memory]
        measure([*again, "--make", scratch], Path(scratch))
        run = measure([*again, "--decide", scratch], Path(scratch))
    found = {"documents": documents} | run.record() | json.loads(run.output)
    print(
        f"{documents:12,} documents: {documents / found['processor_seconds']:10,.0f} a second of "
        f"processor time, {documents / found['seconds']:10,.0f} a second; at most "
        f"{found['peak_bytes'] / 1e6:,.0f} MB, {found['anonymous_bytes'] / 1e6:,.0f} without files",
        flush=True,
    )
    return found


def tasks(documents: int) -> tuple[list[KeysTask], list[int]]:
    """Those that would have made the keys of so many documents, and how many are of each."""
    recipe = Recipe((SourceRecipe("texts", "text"),), "", removal=REMOVAL)
    counts = [min(OF_TASK, documents - start) for start in range(0, documents, OF_TASK)]
    return [KeysTask(recipe, 0, number, ("x",)) for number in range(len(counts))], counts


def make(directory: Path, documents: int) -> None:
    (directory / FOLDER).mkdir()
    rng = np.random.default_rng(0)
    known = {}  # of the first task: what is repeated
    for task, count in zip(*tasks(documents), strict=True):
        records, signatures = (
            np.zeros(count, PARTS["records"]),
            np.zeros(count, PARTS["signatures"]),
        )
        records["subject"] = np.frombuffer(rng.bytes(16 * count), "S16")
        signatures["hashes"] = rng.integers(0, 2**32, (count, HASHES), dtype=np.uint32)
        if known:
            which = rng.choice(count, count // 20 * 3, replace=False)
            like = rng.integers(len(known["records"]), size=len(which))
            same, near = which[: count // 20], which[count // 20 :]
            records["subject"][same] = known["records"]["subject"][like[: len(same)]]
            shared = rng.random((len(near), HASHES)) < 0.9
            other = known["signatures"]["hashes"][like[len(same) :]]
            signatures["hashes"][near] = np.where(shared, other, signatures["hashes"][near])
        known = known or {"records": records, "signatures": signatures}
        records["said"] = records["subject"]
        signatures["record"] = np.arange(count)
        empty = np.zeros(0, PARTS["entities"])
        for part, rows in zip(PARTS, (records, empty, signatures), strict=True):
            rows.tofile(task.path(directory, part))


def decided(directory: Path, documents: int, memory: int) -> dict:
    begin = time.process_time()
    verdicts = decide(REMOVAL, *tasks(documents), directory, memory * 10**6)
    seconds = time.process_time() - begin
    codes = sum(np.bincount(np.load(one.path), minlength=3) for one in verdicts)
    removed = dict(zip(verdicts[0].reasons, codes[1:].tolist(), strict=True))
    return {"processor_seconds": seconds, "removed": removed}


if __name__ == "__main__":
    main()
