"""Trains a molecule tokenizer on files of conformers.

  python -m biomatrix_jax.structure.molecule.training FILES... --out DIR [steps=20000 ...]

FILES are SDF files with explicit hydrogens and 3D coordinates, or tables with SMILES, for which
conformers are made; plain or gzipped, or folders or patterns of them. DIR/tokenizer becomes what
`MoleculeTokenizer.from_pretrained` reads, DIR/metrics.jsonl has losses and the errors on molecules
held out, DIR/state.safetensors lets the same command go on after an interruption. Settings follow
as name=value; the names are those of `TrainingConfig`.
"""

import argparse
import ast
import sys
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from biomatrix_jax.config import from_dict
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import check_absent
from biomatrix_jax.structure.molecule.files import entries, molecule, molecule_files
from biomatrix_jax.structure.molecule.training import TrainingConfig, train
from biomatrix_jax.structure.molecule.training.data import collect


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", help="files, then settings as name=value")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out", type=int, default=5, help="percent of the molecules")
    parser.add_argument("--workers", type=int, default=1)
    try:
        _run(parser.parse_intermixed_args(arguments))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    settings = [word for word in options.files if "=" in word and not Path(word).exists()]
    config = from_dict(TrainingConfig, dict(map(_setting, settings)), "the command line")
    if not 0 <= options.held_out < 100:
        raise BadInput(f"--held-out must be 0 to 99 percent, not {options.held_out}")
    check_absent(options.out / "tokenizer")
    paths = chain.from_iterable(
        molecule_files(word) for word in options.files if word not in settings
    )
    corpus = collect(
        chain.from_iterable(map(entries, paths)),
        partial(molecule, seed=config.seed),
        percent=options.held_out,
        workers=options.workers,
    )
    print(corpus)
    if not corpus.train:
        raise BadInput("no molecule to train on")
    tokenizer = train(
        np.concatenate(corpus.train),
        config,
        held_out_n4=np.concatenate(corpus.held_out) if corpus.held_out else None,
        directory=options.out,
    )
    tokenizer.save(options.out / "tokenizer")


def _setting(word: str) -> tuple[str, object]:
    name, _, value = word.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise BadInput(f"{word}: {value!r} is not a number") from None


if __name__ == "__main__":
    sys.exit(main())
