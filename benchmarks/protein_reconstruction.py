"""How well backbones come back from their tokens, on chains that were held out of training.

    python benchmarks/protein_reconstruction.py CHAINS.npz [--weights DIR] [--json FILE]

CHAINS.npz comes from data_pipeline/assets/make_protein_training_set.py. Each held-out chain is
encoded and decoded; RMSD is that of N, CA and C, TM-score that of CA (see
biomatrix_jax/structure/protein/superposition.py). For comparison the same is done with one chain of
each of some families that were trained on. The published figures are those of GCP-VQVAE's authors
for their models on their test sets, which are not available here: other chains, so that the
difference tells the size of the gap and no more.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import machine
import numpy as np

from biomatrix_jax.structure.packaged import DEFAULT
from biomatrix_jax.structure.protein import ProteinTokenizer
from biomatrix_jax.structure.protein.superposition import rmsd, tm_score
from biomatrix_jax.structure.protein.training import chains as chain_files
from biomatrix_jax.structure.protein.training.chains import TrainingChain

# RMSD in angstrom and TM-score: GCP-VQVAE's README.
PUBLISHED = {
    "Large": {
        "CASP14": (0.5431, 0.9890),
        "CASP15": (0.5293, 0.9884),
        "CASP16": (0.7567, 0.9857),
        "CAMEO2024": (0.4377, 0.9918),
        "zero-shot": (0.8193, 0.9673),
    },
    "Lite": {
        "CASP14": (0.8435, 0.9751),
        "CASP15": (0.9219, 0.9665),
        "CASP16": (1.0614, 0.9757),
        "CAMEO2024": (0.7401, 0.9794),
        "zero-shot": (1.1152, 0.9466),
    },
}
FAMILIES = 30  # that were trained on, for comparison
FRAGMENT = 32  # residues; how good the chain is piece by piece


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chains", type=Path)
    parser.add_argument("--weights", default=DEFAULT, help="a tokenizer's directory")
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    tokenizer = ProteinTokenizer.from_pretrained(arguments.weights)
    chains = chain_files.read(arguments.chains)
    parts = {
        "held out": [chain for chain in chains if chain.held_out],
        "trained on": one_of_each_family([chain for chain in chains if not chain.held_out]),
    }
    rows = {name: reconstruct(tokenizer, part) for name, part in parts.items()}
    result = {
        "machine": machine.describe(("jax", "flax", "numpy")),
        "summary": {name: summary(part) for name, part in rows.items()},
        "published": PUBLISHED,
        "chains": rows,
    }
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def one_of_each_family(chains: Sequence[TrainingChain]) -> list[TrainingChain]:
    first: dict[int, TrainingChain] = {}
    for chain in chains:
        first.setdefault(chain.family, chain)
    ordered = [first[family] for family in sorted(first)]
    return ordered[:: max(1, len(ordered) // FAMILIES)][:FAMILIES]


def reconstruct(tokenizer: ProteinTokenizer, chains: Sequence[TrainingChain]) -> list[dict]:
    codes = tokenizer.encode_batch([(chain.backbone, chain.sequence) for chain in chains])
    decoded = tokenizer.decode_batch(codes)
    rows = []
    for chain, code, atoms in zip(chains, codes, decoded, strict=True):
        observed = code >= 0
        true, found = chain.backbone[observed][:, :3], atoms[observed]
        rows.append(
            {
                "chain": chain.name,
                "residues": len(code),
                "rmsd": float(rmsd(found.reshape(-1, 3), true.reshape(-1, 3))),
                "fragment_rmsd": fragment_rmsd(found, true),
                "tm_score": tm_score(found[:, 1], true[:, 1]),
                "codes": len(set(code[observed].tolist())),
            }
        )
    return rows


def fragment_rmsd(found: np.ndarray, true: np.ndarray) -> float:
    """The mean over all runs of `FRAGMENT` residues, each superposed by itself."""
    size = min(FRAGMENT, len(true))
    windows = [
        np.stack([x[i : i + size].reshape(-1, 3) for i in range(len(x) - size + 1)])
        for x in (found, true)
    ]
    return float(rmsd(*windows).mean())


def summary(rows: Sequence[dict]) -> dict:
    about: dict = {"chains": len(rows)}
    for name in ("rmsd", "fragment_rmsd", "tm_score"):
        values = [row[name] for row in rows]
        about[name] = {"mean": statistics.mean(values), "median": statistics.median(values)}
    return about


def table(result: dict) -> str:
    lines = [machine.text(result["machine"]), ""]
    lines.append(f"{'':28} {'chains':>6} {'RMSD A':>16} {'of 32 residues':>16} {'TM-score':>16}")
    lines.append(f"{'':28} {'':6} " + " ".join([f"{'mean / median':>16}"] * 3))
    for name, about in result["summary"].items():
        values = " ".join(
            f"{about[key]['mean']:8.3f} /{about[key]['median']:6.3f}"
            for key in ("rmsd", "fragment_rmsd", "tm_score")
        )
        lines.append(f"{'this project, ' + name:28} {about['chains']:6} {values}")
    for model, sets in result["published"].items():
        for name, (distance, score) in sets.items():
            label = f"{model}, published, {name}"
            lines.append(f"{label:35} {distance:8.3f} {'':25} {score:8.3f}")
    lines += ["", "held out, chain by chain:"]
    for row in result["chains"]["held out"]:
        lines.append(
            f"  {row['chain']:8} {row['residues']:4} residues: RMSD {row['rmsd']:6.2f} A, of 32 "
            f"residues {row['fragment_rmsd']:5.2f} A, TM {row['tm_score']:.3f}, {row['codes']} "
            "different codes"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
