"""Makes biomatrix_jax/assets/molecule_tokenizer: the molecule tokenizer that the package ships.

  python -m data_pipeline.assets.make_molecule_tokenizer WHEEL --work DIR [--out DIR] [--workers N]

WHEEL is that of qm9pack (PROVENANCE.md beside the asset names it). Trained on the DFT geometries of
QM9 and on conformers (ETKDGv3, MMFF94) of the NCI molecules that RDKit ships, 5 % of the molecules
held out by their SMILES. --work keeps descriptors and the state of the training, so that the same
command goes on after an interruption.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.structure.molecule.files import entries, molecule
from biomatrix_jax.structure.molecule.training import TrainingConfig, train
from biomatrix_jax.structure.molecule.training.data import Corpus, collect
from biomatrix_jax.structure.molecule.weights import CONFIG_FILE, TENSOR_FILE
from data_pipeline.assets import qm9pack
from data_pipeline.sources.nci import IN_THE_BOX

ASSET = Path(__file__).parents[2] / "biomatrix_jax" / "assets" / "molecule_tokenizer"
HELD_OUT_PERCENT = 5
SEED = 0
CONFIG = TrainingConfig(seed=SEED)


def qm9(wheel: Path, workers: int) -> Corpus:
    """The atoms of QM9's molecules."""
    return collect(qm9pack.rows(wheel), qm9pack.molecule, percent=HELD_OUT_PERCENT, workers=workers)


def nci(workers: int) -> Corpus:
    """The atoms of a conformer of each NCI molecule."""
    return collect(
        entries(Path(IN_THE_BOX)),
        partial(molecule, seed=SEED),
        percent=HELD_OUT_PERCENT,
        workers=workers,
    )


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ASSET)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    try:
        data, held_out = _descriptors(options.wheel, options.work, options.workers)
        tokenizer = train(data, CONFIG, held_out_n4=held_out, directory=options.work)
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "tokenizer"
            tokenizer.save(made)
            for name in (CONFIG_FILE, TENSOR_FILE):
                with atomic_file(options.out / name) as file:
                    file.write((made / name).read_bytes())
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
