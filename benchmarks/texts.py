"""What texts go through offline, on one core: finding names, signatures, near-duplicates.

    python benchmarks/texts.py [--chebi OBO] [--peers] [--rounds N] [--json FILE]

Documents are four of the texts in the box each, drawn anew, so that they are as long as abstracts.
Names are those of the table in the box and, given ChEBI's ontology, all its names and synonyms.
Signatures that are compared are made up, one in ten a repetition of an earlier one.

With --peers, which must be installed: pyahocorasick finds the same names (with a check of the
characters around each, the least that is needed), rensa makes signatures of the same runs of words,
and datasketch's own index finds the repetitions, at the same bands.

Rates are of processor time, medians of rounds.
"""

import argparse
import json
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import machine
import numpy as np

from data_pipeline import sources
from data_pipeline.assets.make_entities import read_terms
from data_pipeline.entities.matcher import Matcher
from data_pipeline.entities.table import open_table
from data_pipeline.removal import near_duplicates
from data_pipeline.removal.near_duplicates import (
    HASHES,
    SIGNED,
    band_rows,
    repetitions,
    signature,
)
from data_pipeline.removal.tables import Table
from data_pipeline.sources.tally import Tally

DOCUMENTS = 3000
SIGNATURES = 20_000
THRESHOLD = 0.8
MEMORY = 2**30  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chebi", type=Path, help="chebi.obo")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    result = {
        "machine": machine.describe(("numpy", "datasketch", "pyahocorasick", "rensa")),
        "documents": DOCUMENTS,
        "characters": sum(map(len, documents())),
        "signatures": SIGNATURES,
        "threshold": THRESHOLD,
        "results": [],
    }
    for what, unit, amount, work in jobs(arguments.chebi, arguments.peers):
        rates = [amount / seconds(work) for _ in range(arguments.rounds)]
        one = {"what": what, "unit": unit, "rate": statistics.median(rates), "rounds": rates}
        result["results"].append(one | {"found": work()})
        print(f"{what:60s} {one['rate']:12.4g} {unit}", flush=True)
    print(machine.text(result["machine"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def jobs(chebi: Path | None, peers: bool) -> Iterable[tuple[str, str, float, Callable[[], int]]]:
    """(what, unit, how much of it there is, the work, which returns how many it found)."""
    texts = documents()
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    tables = {"in the box": list(open_table(None).names())}
    if chebi:
        tables["of ChEBI"] = [
            (name, term.identifier)
            for term in read_terms(chebi)
            for name in sorted({term.name.lower(), *term.synonyms})
        ]
    for which, names in tables.items():
        matcher = Matcher(names)
        what = f"{len(names)} names {which}"
        yield what, "MB/s", megabytes, lambda m=matcher: count(map(m.find, texts))
        if peers:
            find = aho_corasick(names)
            yield f"{what}, pyahocorasick", "MB/s", megabytes, lambda f=find: count(map(f, texts))
    yield "signatures", "documents/s", len(texts), lambda: len(list(map(signature, texts)))
    if peers:
        yield "signatures, rensa", "documents/s", len(texts), lambda: len(list(map(rensa, texts)))
    signed = made_up()
    rows = band_rows(THRESHOLD)
    what = f"repetitions, {HASHES // rows} bands of {rows}"
    yield what, "documents/s", len(signed), lambda: repeated(signed)
    if peers:
        yield f"{what}, datasketch", "documents/s", len(signed), lambda: index(signed, rows)


def documents() -> list[str]:
    texts = [record.text for record in sources.read("text", None, None, Tally())]
    draw = random.Random(0)
    return [" ".join(draw.sample(texts, 4)) for _ in range(DOCUMENTS)]


def made_up() -> np.ndarray:
    """Rows of SIGNED."""
    rng = np.random.default_rng(0)
    values_nh = rng.integers(0, 2**32, (SIGNATURES, HASHES), dtype=np.uint32)
    for later in range(10, SIGNATURES, 10):
        same = rng.random(HASHES) < 0.9
        values_nh[later, same] = values_nh[rng.integers(later), same]
    rows = np.zeros(SIGNATURES, SIGNED)
    rows["hashes"] = values_nh
    return rows


def repeated(signed: np.ndarray) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        signed.tofile(directory / "signatures")
        table = Table([directory / "signatures"], SIGNED)
        chosen = [(np.arange(len(signed)), signed["hashes"])]
        return sum(map(len, repetitions(table, chosen, THRESHOLD, directory, MEMORY)))


def aho_corasick(names: list) -> Callable[[str], list]:
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for name, meaning in names:
        automaton.add_word(name.lower(), (len(name), meaning))
    automaton.make_automaton()

    def find(text: str) -> list:
        text = f" {text.lower()} "
        return [
            (end, meaning)
            for end, (length, meaning) in automaton.iter(text)
            if not (text[end - length].isalnum() or text[end + 1].isalnum())
        ]

    return find


def rensa(text: str) -> list[int]:
    from rensa import RMinHash

    words = re.findall(r"\w+", text.lower())
    size = near_duplicates.WORDS
    minhash = RMinHash(num_perm=HASHES, seed=1)
    minhash.update([" ".join(words[i : i + size]) for i in range(len(words) - size + 1)])
    return minhash.digest()


def index(signed: np.ndarray, rows: int) -> int:
    from datasketch import MinHash, MinHashLSH

    lsh = MinHashLSH(num_perm=HASHES, params=(HASHES // rows, rows))
    permutations = MinHash(HASHES).permutations
    found = 0
    for number, values in enumerate(signed["hashes"]):
        minhash = MinHash(hashvalues=values, permutations=permutations, scheme="affine32")
        found += bool(lsh.query(minhash))
        lsh.insert(str(number), minhash)
    return found


def count(found: Iterable[Iterable]) -> int:
    return sum(1 for one in found for _ in one)


def seconds(work: Callable[[], int]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
