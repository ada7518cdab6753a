"""Makes golden/tm_scores.json: TM-scores by TM-align's own code, of changed real chains.

  python tests/structure/protein/make_tm_scores.py

Needs the PyPI package tmtools (0.3.0 made the file), which the tests do not. TM-align chooses the
pairs itself; kept are cases in which it pairs every residue with itself, so that its score is that
of the given correspondence.
"""

import json
from pathlib import Path

import numpy as np
from changed_chains import CASES, changed
from tmtools import tm_align

OUT = Path(__file__).parent / "golden/tm_scores.json"


def main() -> None:
    scores = {}
    for name in CASES:
        chain, other = changed(name)
        sequence = "A" * len(chain)
        result = tm_align(other.astype(float), chain.astype(float), sequence, sequence)
        if result.seqxA != sequence or result.seqyA != sequence:
            print(f"{name}: TM-align pairs residues otherwise, left out")
            continue
        scores[name] = {"tm_score": result.tm_norm_chain2, "rmsd": result.rmsd}
    OUT.write_text(json.dumps(scores, indent=1) + "\n")
    for name, values in scores.items():
        print(name, values)


if __name__ == "__main__":
    np.set_printoptions(precision=4)
    main()
