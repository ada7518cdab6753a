"""Trains a protein tokenizer.

  python -m biomatrix_jax.structure.protein.training CHAINS.npz --out DIR [key=value ...]

  python -m biomatrix_jax.structure.protein.training --export DIR --out WEIGHTS

CHAINS.npz comes from data_pipeline/assets/make_protein_training_set.py. Without --config the
settings are those of the weights in the package. Starting again goes on where it stopped; --export
writes the weights of the newest checkpoint of a training that is not at its end.
"""

import argparse
import sys
from pathlib import Path

from biomatrix_jax.config import load_as
from biomatrix_jax.errors import BadInput

SMALL = Path(__file__).parents[3] / "assets/protein_tokenizer/training.yaml"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("chains", type=Path, nargs="?", help="the chains, an .npz file")
    parser.add_argument("--out", type=Path, required=True, help="the directory of the training")
    parser.add_argument("--config", type=Path, default=SMALL, help="settings, a YAML file")
    parser.add_argument("--export", type=Path, help="the training whose weights to write to --out")
    parser.add_argument("--every", type=int, default=50, help="steps from one printed line on")
    parser.add_argument("overrides", nargs="*", help="settings: optimizer.learning_rate=1e-3")
    arguments = parser.parse_intermixed_args()
    from biomatrix_jax.structure.protein.training import chains
    from biomatrix_jax.structure.protein.training.config import TrainingConfig
    from biomatrix_jax.structure.protein.training.trainer import export, train

    def report(line: dict) -> None:
        if line["step"] % arguments.every == 0 or "held_out_rmsd" in line:
            values = " ".join(f"{key}={value:.4g}" for key, value in line.items() if key != "step")
            print(f"step {line['step']}: {values}", flush=True)

    if (arguments.chains is None) == (arguments.export is None):
        parser.error("give either the chains to train on or --export")
    try:
        if arguments.export:
            print(f"weights of step {export(arguments.export, arguments.out)} in {arguments.out}")
            return 0
        config = load_as(TrainingConfig, arguments.config, arguments.overrides)
        place = train(config, chains.read(arguments.chains), arguments.out, report)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"weights in {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
