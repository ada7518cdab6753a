"""Gathers wwPDB chains for the training of the protein tokenizer.

  python -m data_pipeline.assets.make_protein_training_set FOLDER [FOLDER ...] --out chains.npz

The folders hold unpacked packages that carry wwPDB entries, see
biomatrix_jax/assets/protein_tokenizer/PROVENANCE.md. Of every structure file below them whose name
is that of an entry, the protein chains of the first model are taken, one for each sequence, the one
with the fewest missing residues. Of the families of similar chains some are held out, such that
none of their chains has more than 30 % sequence identity with any chain that is trained on.
Identity is the number of identical pairs in the best local alignment (BLOSUM62, a gap of n costs
11 + n) over the length of the shorter sequence. Beside the .npz a .tsv lists the chains.
"""

import argparse
import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.structure.protein.chains import Limits, read_chain
from biomatrix_jax.structure.protein.files import Entry, name_of, parse
from biomatrix_jax.structure.protein.training import chains as chain_files
from biomatrix_jax.structure.protein.training.chains import TrainingChain

SHORTEST = 25  # residues; shorter ones have no fold to speak of
IDENTITY = 0.3
LARGE_FAMILY = 6  # one of more chains is trained on: held out, it would be most of the data
HELD_OUT = 4  # one in so many of the small families
LARGEST_FILE = 20 << 20
# 1a8o, pdb1a8o, mmcif_1a8o, 1a5zA, 1a5z_A and d1cih__, as packages call their copies of an entry.
NAME = re.compile(r"(?:pdb|mmcif_|d)?(\d[a-z0-9]{3})(?:_?[a-z0-9_.]{1,2})?", re.IGNORECASE)


def gather(folders: Iterable[Path]) -> tuple[list[TrainingChain], dict[str, str], Counter]:
    """The distinct chains, the file that each comes from, and why others were left out."""
    found: dict[str, TrainingChain] = {}
    sources: dict[str, str] = {}
    left_out: Counter = Counter()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if name_of(path) == path.name:  # not called like a structure file
                continue
            match = NAME.fullmatch(name_of(path))
            if not match or path.stat().st_size > LARGEST_FILE:
                left_out["not called like an entry, or too large"] += 1
                continue
            try:
                entry = parse(path)
            except BadInput:
                left_out["not readable"] += 1
                continue
            for chain in _chains(match[1].upper(), entry, left_out):
                before = found.get(chain.sequence)
                if before is None or _missing(chain) < _missing(before):
                    found[chain.sequence] = chain
                    sources[chain.sequence] = str(path.relative_to(folder.parent))
    ordered = sorted(found.values(), key=lambda chain: (chain.name, chain.sequence))
    return ordered, {chain.name: sources[chain.sequence] for chain in ordered}, left_out


def _chains(name: str, entry: Entry, left_out: Counter) -> Iterable[TrainingChain]:
    for chain in entry.chains:
        try:
            read = read_chain(chain, Limits())
        except BadInput:
            left_out["chains that are no protein or have too many gaps"] += 1
            continue
        if len(read.sequence) < SHORTEST or set(read.sequence) == {"X"}:
            left_out["chains too short"] += 1
            continue
        yield TrainingChain(f"{name}_{read.id}", read.sequence, read.backbone)


def _missing(chain: TrainingChain) -> int:
    return int(np.isnan(chain.backbone[:, 0, 0]).sum())


def split(chains: Sequence[TrainingChain]) -> list[TrainingChain]:
    """Numbers the families and holds some of them out, drawn by a hash of a sequence.

    A chain joins the first family whose first chain, its longest, it is close to. As it may be
    close to chains of other families too, every held-out chain is compared with every one that is
    trained on at the end, and goes back to training where it is too close.
    """
    identity = Identity()
    families: list[list[int]] = []
    order = sorted(range(len(chains)), key=lambda i: (-len(chains[i].sequence), chains[i].name))
    for index in order:
        for family in families:
            if identity(chains[family[0]].sequence, chains[index].sequence) > IDENTITY:
                family.append(index)
                break
        else:
            families.append([index])
    held = {
        index
        for family in families
        if len(family) <= LARGE_FAMILY and _draw(chains[family[0]].sequence) % HELD_OUT == 0
        for index in family
    }
    while close := {
        index
        for index in held
        if any(
            identity(chains[index].sequence, chain.sequence) > IDENTITY
            for other, chain in enumerate(chains)
            if other not in held
        )
    }:
        held -= close
    number = {index: n for n, family in enumerate(families) for index in family}
    return [replace(chain, family=number[i], held_out=i in held) for i, chain in enumerate(chains)]


def _draw(sequence: str) -> int:
    return int.from_bytes(hashlib.sha256(sequence.encode()).digest()[:4], "big")


class Identity:
    """Sequence identity of two chains, from 0 to 1; remembers what it has aligned."""

    def __init__(self):
        from Bio.Align import PairwiseAligner, substitution_matrices

        self._aligner = PairwiseAligner(mode="local")
        self._aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
        self._aligner.open_gap_score, self._aligner.extend_gap_score = -12, -1
        self._known: dict[tuple[str, str], float] = {}

    def __call__(self, a: str, b: str) -> float:
        key = (min(a, b), max(a, b))
        if key not in self._known:
            alignment = self._aligner.align(a, b)[0]
            same = sum(
                a[i] == b[j] != "X"
                for (start, stop), (other, _) in zip(*alignment.aligned, strict=True)
                for i, j in zip(range(start, stop), range(other, other + stop - start), strict=True)
            )
            self._known[key] = same / min(len(a), len(b))
        return self._known[key]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="where the packages are unpacked")
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    arguments = parser.parse_args()
    chains, sources, left_out = gather(arguments.folders)
    chains = split(chains)
    chain_files.write(arguments.out, chains)
    table = io.StringIO()
    rows = csv.writer(table, delimiter="\t", lineterminator="\n")
    rows.writerow(["chain", "residues", "missing", "family", "split", "source"])
    for chain in chains:
        part = "held-out" if chain.held_out else "train"
        sizes = len(chain.sequence), _missing(chain)
        rows.writerow([chain.name, *sizes, chain.family, part, sources[chain.name]])
    with atomic_file(arguments.out.with_suffix(".tsv"), "w") as file:
        file.write(table.getvalue())
    held = sum(chain.held_out for chain in chains)
    print(f"{len(chains) - held} chains to train on, {held} held out")
    for reason, count in left_out.most_common():
        print(f"left out: {count} {reason}")


if __name__ == "__main__":
    main()
