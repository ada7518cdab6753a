"""A Hugging Face directory with the true shapes of one of our configurations and made-up weights.

    python benchmarks/synthetic_hf.py CONFIG [DIRECTORY]

Prints its size as a JSON object, and writes it if told where.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np

from biomatrix_jax.blocks import blocks
from biomatrix_jax.config import ModelConfig, load
from biomatrix_jax.convert import hf_config, rules
from biomatrix_jax.convert.files import hf_files
from biomatrix_jax.convert.files.stored import Spec
from biomatrix_jax.errors import BadInput

DTYPE = np.dtype(ml_dtypes.bfloat16)
SHARD_BYTES = 5 * 10**9  # as transformers cuts its files
DRAWN = 1 << 24  # numbers


def main() -> None:
    model = load(sys.argv[1]).model
    specs = [Spec(t.name, DTYPE, t.shape) for group in rules.tensors(model).values() for t in group]
    for directory in sys.argv[2:]:
        write(Path(directory), model, specs)
    largest = max(specs, key=lambda spec: spec.nbytes)
    size = {
        "bytes": sum(spec.nbytes for spec in specs),
        "tensors": len(specs),
        "dtype": DTYPE.name,
        "largest": {
            "name": largest.name,
            "shape": largest.shape,
            "bytes": largest.nbytes,
        },
    }
    print(json.dumps(size))


def write(directory: Path, model: ModelConfig, specs: list[Spec]) -> None:
    directory.mkdir(parents=True)
    rng = np.random.default_rng(0)
    numbers = (0.02 * rng.standard_normal(DRAWN, np.float32)).astype(DTYPE)

    def pieces(spec: Spec) -> Iterator[np.ndarray]:
        for index in blocks(spec.shape, DTYPE.itemsize):
            ends = zip(index, spec.shape, strict=True)
            count = math.prod(len(range(*run.indices(size))) for run, size in ends)
            # From a new place each time: no two tensors are alike.
            start = rng.integers(DRAWN - count)
            yield numbers[start : start + count]

    hf_files.write_tensors(directory, specs, map(pieces, specs), SHARD_BYTES)
    config = hf_config.new(model, DTYPE.name, ids={})
    (directory / "config.json").write_text(hf_config.text(config))


if __name__ == "__main__":
    try:
        main()
    except BadInput as error:
        sys.exit(str(error))
