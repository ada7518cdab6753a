"""How closely molecules come back from their tokens: sequential decoding, refined, with MMFF.

    python benchmarks/molecule_reconstruction.py --weights NAME=PATH ... --molecules NAME=FILE ...
        [--limit N] [--json FILE]

PATH is what `MoleculeTokenizer.from_pretrained` reads. FILE is an SDF file (.sdf, .sdf.gz) with
explicit hydrogens and 3D conformers, or JSON lines (.jsonl, .jsonl.gz) with a `molblock` each, as
the worked examples of the published tokenizer. Each tokenizer encodes all molecules, and decodes
them in four ways; figures are over the molecules that all four and the encoder can do, and what
the others failed with is counted. Seconds are processor time of this process per molecule, after
everything has been compiled.
"""

import argparse
import gzip
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import machine
import numpy as np
from rdkit import Chem, rdBase

from biomatrix_jax.structure.molecule import MoleculeError, MoleculeTokenizer, vqvae
from biomatrix_jax.structure.molecule import reconstruction as metrics
from biomatrix_jax.structure.molecule.conformers import describe_molecules

WAYS = {
    "sequential": {},
    "sequential + MMFF": {"mmff": True},
    "global": {"refine": True},
    "global + MMFF": {"refine": True, "mmff": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, what in (("--weights", "PATH"), ("--molecules", "FILE")):
        parser.add_argument(option, nargs="+", type=_named, required=True, metavar=f"NAME={what}")
    parser.add_argument("--limit", type=int, help="molecules of each file")
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    packages = ("jax", "numpy", "rdkit")
    result = {"machine": machine.describe(packages), "results": []}
    with rdBase.BlockLogs():
        for of_file, file in arguments.molecules:
            mols = list(read(file))[: arguments.limit]
            for of_weights, path in arguments.weights:
                tokenizer = MoleculeTokenizer.from_pretrained(path)
                figures = measure(tokenizer, mols)
                result["results"].append({"molecules": of_file, "weights": of_weights} | figures)
                print(table(result["results"][-1]), flush=True)
    print(machine.text(result["machine"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def read(path: Path) -> Iterator[Chem.Mol | None]:
    """The molecules of a file, None for one that RDKit refuses."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        if path.name.removesuffix(".gz").endswith(".jsonl"):
            for line in file:
                yield Chem.MolFromMolBlock(json.loads(line)["molblock"], removeHs=False)
        else:
            yield from Chem.ForwardSDMolSupplier(file, removeHs=False)


def measure(tokenizer: MoleculeTokenizer, mols: list[Chem.Mol | None]) -> dict:
    """Everything about one tokenizer and one set."""
    failed = Counter()
    described, encodings = describe_molecules(mols), tokenizer.encode_batch(mols)
    failed.update(type(e).__name__ for e in encodings if isinstance(e, MoleculeError))
    at = [i for i, e in enumerate(encodings) if not isinstance(e, MoleculeError)]
    strings = [encodings[i].struct_selfies for i in at]
    tokenizer.decode_batch(strings, refine=True)  # compiles

    decoded, seconds = {}, {}
    for way, options in WAYS.items():
        start = time.process_time()
        decoded[way] = tokenizer.decode_batch(strings, **options)
        seconds[way] = (time.process_time() - start) / len(strings)
    rows = list(zip(*decoded.values(), strict=True))
    for row in rows:
        failed.update({type(one).__name__ for one in row if isinstance(one, MoleculeError)})
    good = [k for k, row in enumerate(rows) if not any(isinstance(m, MoleculeError) for m in row)]

    originals = [mols[at[k]].GetConformer().GetPositions()[encodings[at[k]].order] for k in good]
    codes = np.concatenate([encodings[at[k]].codes for k in good])
    components = metrics.component_errors(
        vqvae.code_table(tokenizer.weights)[codes],
        np.concatenate([described[at[k]].descriptors for k in good]),
    )
    unrefined = Counter(
        decoded["global"][k].GetProp("refinement_problem")
        for k in good
        if decoded["global"][k].HasProp("refinement_problem")
    )
    return {
        "count": len(good),
        "failed": dict(failed),
        "unrefined": dict(unrefined),
        "components": components,
        "ways": {
            way: compare([decoded[way][k] for k in good], originals)
            | {"seconds_per_molecule": seconds[way]}
            for way in WAYS
        },
    }


def compare(decoded: list[Chem.Mol], originals: list[np.ndarray]) -> dict:
    """Decoded molecules and the original positions of their atoms."""
    rmsd = {"all": [], "heavy": []}
    types, lengths, right_lengths, same_labels = [], [], [], 0
    for mol, original in zip(decoded, originals, strict=True):
        positions = mol.GetConformer().GetPositions()
        heavy = np.array([atom.GetAtomicNum() > 1 for atom in mol.GetAtoms()])
        rmsd["all"].append(metrics.coordinate_rmsd(positions, original))
        rmsd["heavy"].append(metrics.coordinate_rmsd(positions[heavy], original[heavy]))
        names, found = metrics.bond_lengths(mol, positions)
        types += names
        lengths.append(found)
        right_lengths.append(metrics.bond_lengths(mol, original)[1])
        labels = (metrics.stereo_labels(mol, p) for p in (positions, original))
        same_labels += len(set(labels)) == 1
    lengths, right_lengths = np.concatenate(lengths), np.concatenate(right_lengths)
    mmd = metrics.bond_length_mmd(types, lengths, right_lengths)
    return {
        **{f"rmsd_{atoms}_mean": statistics.fmean(values) for atoms, values in rmsd.items()},
        **{f"rmsd_{atoms}_median": statistics.median(values) for atoms, values in rmsd.items()},
        "bond_length_error": float(np.mean(np.abs(lengths - right_lengths))),
        "bond_length_mmd": statistics.fmean(mmd.values()) if mmd else None,
        "bond_length_mmd_by_type": mmd,
        "same_stereo": same_labels / len(decoded),
    }


def table(one: dict) -> str:
    """A set's figures for people."""
    parts = one["components"]
    lines = [
        f"\n{one['molecules']}, weights {one['weights']}: {one['count']} molecules; failed "
        f"{one['failed'] or 'none'}; not refined {one['unrefined'] or 'none'}",
        f"components: r {parts['r']:.4f} A, theta {parts['theta']:.4f}, phi {parts['phi']:.4f} rad,"
        f" sign {parts['sign_accuracy']:.2%}",
        f"{'decoding':18}{'RMSD':>8}{'median':>8}{'heavy':>8}{'median':>8}{'bonds':>8}{'MMD^2':>8}"
        f"{'stereo':>9}{'ms':>7}",
    ]
    for way, f in one["ways"].items():
        lengths = [f[f"rmsd_{a}_{b}"] for a in ("all", "heavy") for b in ("mean", "median")]
        lengths.append(f["bond_length_error"])
        mmd = "-" if f["bond_length_mmd"] is None else f"{f['bond_length_mmd']:.4f}"
        lines.append(
            f"{way:18}"
            + "".join(f"{length:8.4f}" for length in lengths)
            + f"{mmd:>8}{f['same_stereo']:9.2%}{f['seconds_per_molecule'] * 1e3:7.2f}"
        )
    return "\n".join(lines)


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, Path(path)


if __name__ == "__main__":
    main()
