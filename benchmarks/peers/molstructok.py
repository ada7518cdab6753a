"""The published MolStrucTok at work: the peer of benchmarks/molecules.py.

    python benchmarks/peers/molstructok.py CHECKOUT WEIGHTS MOLECULES.sdf

CHECKOUT is a clone of the repository that BioMatrix published; needs torch, rdkit and selfies, and
nothing of this project. Each line read from standard input is a round, "encode" or "decode" with
a JSON list of strings; each is answered by a line of JSON: seconds on the clock and of the
processor, and the results, null where it fails.
"""

import json
import sys
import time

import numpy as np
import torch
from rdkit import Chem

checkout, weights, molecules = sys.argv[1:]
sys.path.insert(0, checkout)

from molstructok import MolStructTok  # noqa: E402


def encode(mols: list) -> list:
    return [attempt(lambda mol: tokenizer.encode(mol)[1], mol) for mol in mols]


def decode(strings: list[str]) -> list:
    return [attempt(tokenizer.decode, string) for string in strings]


def attempt(function, argument):
    # It fails in many ways: assertions, indices, errors of its libraries.
    try:
        return function(argument)
    except Exception:
        return None


torch.set_num_threads(1)
np.seterr(all="ignore")
tokenizer = MolStructTok(weights, device="cpu", enable_mmff=False)
mols = [mol for mol in Chem.SDMolSupplier(molecules, removeHs=False) if mol]
print(json.dumps({"versions": {"torch": torch.__version__, "numpy": np.__version__}}), flush=True)
for line in sys.stdin:
    what, _, strings = line.partition(" ")
    argument = json.loads(strings) if strings else mols
    wall, processor = time.perf_counter(), time.process_time()
    results = (encode if what.strip() == "encode" else decode)(argument)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    if what == "decode":
        results = [mol and mol.GetConformer().GetPositions().tolist() for mol in results]
    print(
        json.dumps({"seconds": wall, "processor_seconds": processor, "results": results}),
        flush=True,
    )
