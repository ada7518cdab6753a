"""Molecules per second of the molecule tokenizer, beside the published code, on one core.

    python benchmarks/molecules.py --reference CHECKOUT [--reference-python PYTHON]
                                   [--molecules SDF] [--json FILE]
    python benchmarks/molecules.py --weights TOKENIZER        (without the published code)

CHECKOUT is a clone of the repository that BioMatrix published, whose weights both use; its code
needs a Python with torch, rdkit and selfies. Without --molecules they are the first 350 of the NCI
set that RDKit carries and that have an MMFF conformer and one fragment (ETKDGv3, relaxed).

Both run on the same core with one thread, rounds in turn, and medians are reported. Encoding starts
from RDKit molecules with conformers, decoding from strings, without MMFF; theirs takes molecules
one by one, as it only can, ours all at once, and for comparison one by one. The rate that counts is
molecules per second of processor time. What both make of the molecules is compared as well, and a
round of its own tells where our time goes.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from unittest import mock

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import machine
import numpy as np
from rdkit import Chem

from biomatrix_jax.structure.molecule import Encoding, MoleculeTokenizer, conformers, vqvae
from biomatrix_jax.structure.molecule import serialization as lines
from biomatrix_jax.structure.molecule import tokenizer as tokenizers
from data_pipeline import sources
from data_pipeline.sources import nci, sdf
from data_pipeline.sources.tally import Tally

COUNT = 350
SEED = 42
WEIGHTS = "molstructok/checkpoints/molstructok_vqvae.bin"  # in the published repository
PEER = Path(__file__).parent / "peers" / "molstructok.py"

# What is timed of ours: where each function is looked up, and what its time counts as.
PARTS = {
    "encode": [
        (Chem, "MolToSmiles", "RDKit: canonical SMILES"),
        (lines, "_check", "RDKit: is it a molecule that can be encoded"),
        (lines.selfies_writer, "spell", "SELFIES"),
        (conformers, "reference_atoms", "geometry"),
        (conformers, "degenerate", "geometry"),
        (conformers, "describe", "geometry"),
        (vqvae, "encode", "network"),
    ],
    "decode": [
        (Chem, "MolFromSmiles", "RDKit: from SMILES"),
        (Chem, "SanitizeMol", "RDKit: sanitize"),
        (lines, "split", "SELFIES"),
        (lines.selfies_reader, "read", "SELFIES"),
        (tokenizers, "reference_atoms", "geometry"),
        (tokenizers, "rebuild", "geometry"),
        (tokenizers, "degenerate", "geometry"),
    ],
}
REST = "the rest"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, help="a clone of the published repository")
    parser.add_argument("--reference-python", default=sys.executable, help="one that has torch")
    parser.add_argument("--weights", type=Path, help="of ours, without --reference")
    parser.add_argument("--molecules", type=Path, help="an SDF file with hydrogens, 3D")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    weights = arguments.weights or (arguments.reference and arguments.reference / WEIGHTS)
    if not weights:
        parser.error("--reference or --weights is needed")
    about = machine.describe(("jax", "numpy", "rdkit", "selfies"))
    # One core for both sides: the peer inherits it. Before JAX starts its threads.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        molecules = arguments.molecules or make_molecules(Path(scratch) / "molecules.sdf")
        ours = Ours(weights, molecules)
        sides = {"ours": ours.run, "ours, one by one": ours.run_one_by_one}
        if arguments.reference:
            peer = Peer(arguments.reference_python, arguments.reference, weights, molecules)
            stack.callback(peer.end)
            about["versions"] |= peer.versions
            sides["published"] = peer.run
        result = {"machine": about, **compare(sides, ours, arguments.rounds)}
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def make_molecules(path: Path) -> Path:
    """The default set as an SDF file: what both sides read has the same digits."""
    records = sources.read("nci", None, nci.Options(limit=1000, seed=SEED), Tally())
    whole = (record for record in records if "." not in record.smiles)
    sdf.write(path, islice(whole, COUNT))
    return path


class Ours:
    """Our tokenizer; a round gives seconds, processor seconds and results, None where it fails."""

    def __init__(self, weights: Path, molecules: Path):
        self.tokenizer = MoleculeTokenizer.from_pretrained(weights)
        supplier = Chem.SDMolSupplier(str(molecules), removeHs=False)
        self.mols = [mol for mol in supplier if mol]
        self.atoms = sum(mol.GetNumAtoms() for mol in self.mols)

    def run(self, what: str, strings: list[str]) -> dict:
        return self._round(what, [strings if what == "decode" else self.mols])

    def run_one_by_one(self, what: str, strings: list[str]) -> dict:
        return self._round(what, [[item] for item in (strings if what == "decode" else self.mols)])

    def _round(self, what: str, batches: list[list]) -> dict:
        work = self.tokenizer.decode_batch if what == "decode" else self.tokenizer.encode_batch
        wall, processor = time.perf_counter(), time.process_time()
        results = [result for batch in batches for result in work(batch)]
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        return {
            "seconds": wall,
            "processor_seconds": processor,
            "results": [None if isinstance(item, Exception) else said(item) for item in results],
        }


def said(result: Encoding | Chem.Mol) -> str | np.ndarray:
    """What of a result is compared: a string, or positions."""
    if isinstance(result, Encoding):
        return result.struct_selfies
    return result.GetConformer().GetPositions()


class Peer:
    """The published code in a process of its own; rounds as ours."""

    def __init__(self, python: str, checkout: Path, weights: Path, molecules: Path):
        command = [python, PEER, checkout, weights, molecules]
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | threads,
        )
        self.versions = self._answer()["versions"]

    def run(self, what: str, strings: list[str]) -> dict:
        text = f" {json.dumps(strings)}" if what == "decode" else ""
        self._process.stdin.write(f"{what}{text}\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{PEER.name} ended: run it by hand to see why")
        return json.loads(line)


def compare(sides: dict[str, Callable], ours: Ours, rounds: int) -> dict:
    """Rounds of each side in turn, of all molecules that ours encodes; the first is not counted."""
    encoded = ours.run("encode", [])["results"]
    strings = [string for string in encoded if string]
    result = {
        "molecules": len(ours.mols),
        "atoms": ours.atoms,
        "encoded": len(strings),
        "rates": {},
        "ratios": {},
        "profile": {},
    }
    answers = {}
    for what in ("encode", "decode"):
        measured: dict[str, list[dict]] = {side: [] for side in sides}
        for _ in range(rounds + 1):
            for side, run in sides.items():
                measured[side].append(run(what, strings))
        answers[what] = {side: found[0]["results"] for side, found in measured.items()}
        count = len(ours.mols) if what == "encode" else len(strings)
        result["rates"][what] = {side: rate(found[1:], count) for side, found in measured.items()}
        result["profile"][what] = profile(what, ours, strings, rounds)
        if "published" in sides:
            rates = {
                side: one["per_processor_second"] for side, one in result["rates"][what].items()
            }
            result["ratios"][what] = rates["ours"] / rates["published"]
    if "published" in sides:
        result["agreement"] = agreement(answers)
    return result


def rate(rounds: list[dict], count: int) -> dict:
    return {
        "per_processor_second": count / statistics.median(r["processor_seconds"] for r in rounds),
        "per_second": count / statistics.median(r["seconds"] for r in rounds),
    }


def agreement(answers: dict) -> dict:
    """How often both sides say the same of a molecule, and how far their coordinates are apart.

    `differing` has each molecule, by its number in the file, of which they do not.
    """
    pairs = list(zip(answers["encode"]["ours"], answers["encode"]["published"], strict=True))
    counts = Counter(
        "identical strings" if one == two else "refused by ours" if one is None
        else "refused by the published code" if two is None else "different strings"
        for one, two in pairs
        if one or two
    )  # fmt: skip
    differing = [
        {"number": number, "ours": one, "published": two}
        for number, (one, two) in enumerate(pairs, start=1)
        if one != two
    ]
    pairs = zip(answers["decode"]["ours"], answers["decode"]["published"], strict=True)
    apart = [
        np.abs(np.array(one) - np.array(two)).max()
        for one, two in pairs
        if one is not None and two is not None
    ]
    return {
        **dict(counts),
        "differing": differing,
        "decoded by both": len(apart),
        "largest difference of a coordinate, angstrom": float(max(apart)),
    }


def profile(what: str, ours: Ours, strings: list[str], rounds: int) -> dict[str, float]:
    """Microseconds of each part for a molecule, of the processor: medians over rounds."""
    count = len(strings) if what == "decode" else len(ours.mols)
    found = []
    for _ in range(rounds):
        spent: Counter = Counter()
        with timed(PARTS[what], spent):
            taken = ours.run(what, strings)["processor_seconds"]
        spent[REST] = taken - sum(spent.values())
        found.append(spent)
    return {name: statistics.median(s[name] for s in found) / count * 1e6 for name in found[0]}


@contextlib.contextmanager
def timed(parts: list[tuple], spent: Counter) -> Iterator[None]:
    """Adds to `spent` what the functions take while the block runs."""

    def stopwatch(function: Callable, name: str) -> Callable:
        def run(*arguments, **options):
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                spent[name] += time.process_time() - start

        return run

    with contextlib.ExitStack() as stack:
        for place, function, name in parts:
            wrapped = stopwatch(getattr(place, function), name)
            stack.enter_context(mock.patch.object(place, function, wrapped))
        yield


def table(result: dict) -> str:
    text = [
        machine.text(result["machine"]),
        f"{result['molecules']} molecules of {result['atoms'] / result['molecules']:.1f} atoms",
    ]
    for what, rates in result["rates"].items():
        text += ["", f"{what + ', molecules/s':26} {'of processor time':>18} {'on the clock':>14}"]
        for side, one in rates.items():
            text.append(
                f"  {side:24} {one['per_processor_second']:18,.0f} {one['per_second']:14,.0f}"
            )
        if what in result["ratios"]:
            text.append(f"  ratio by processor time: {result['ratios'][what]:.1f}")
        total = sum(result["profile"][what].values())
        text.append(f"  where ours goes, of {total:.0f} microseconds a molecule:")
        for part, spent in sorted(result["profile"][what].items(), key=lambda item: -item[1]):
            text.append(f"    {part:46} {spent:6.0f}  {spent / total:4.0%}")
    if "agreement" in result:
        text += ["", *(f"{name}: {value}" for name, value in result["agreement"].items())]
    return "\n".join(text)


if __name__ == "__main__":
    main()
