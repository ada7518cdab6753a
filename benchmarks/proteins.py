"""Protein chains per second of the structure tokenizer, by padded length.

    python benchmarks/proteins.py [--shape large|lite|small | --weights DIR] [--package]
                                  [--json FILE]

Chains that fill each padded length are encoded and decoded, one at a time and several at once, on
the device that JAX finds; with --package also the chains that come with the package, whose lengths
mix and which are padded; then the parts of encoding one chain, each compiled by itself. Without
--weights the network has random values, which does not change its speed.

A figure is the median of rounds that follow one which compiles. Processor time, over all threads,
stands beside the clock's: on a CPU it does not depend on what else runs.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path

import jax
import jax.numpy as jnp
import machine
import numpy as np
from flax import nnx

from biomatrix_jax.structure.protein import ProteinTokenizer, chains, files, gaps, weights
from biomatrix_jax.structure.protein.buckets import LENGTHS, padded
from biomatrix_jax.structure.protein.config import (
    LARGE,
    LITE,
    GCPNetConfig,
    ProteinVQVAEConfig,
    QuantizerConfig,
    TransformerConfig,
)
from biomatrix_jax.structure.protein.graph import featurise
from biomatrix_jax.structure.protein.vqvae import ProteinVQVAE

# That of the worked examples, with room for all chains.
SMALL = ProteinVQVAEConfig(
    gcpnet=GCPNetConfig(2, 32, 8, 16, 4),
    encoder=TransformerConfig(64, 2, 6, 3),
    quantizer=QuantizerConfig(dim=16, codes=256),
    decoder=TransformerConfig(64, 2, 4, 1),
)
SHAPES = {"large": LARGE, "lite": LITE, "small": SMALL}
Chain = tuple[np.ndarray, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="large")
    parser.add_argument("--weights", type=Path, help="a tokenizer's directory, for its shape")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="residues")
    parser.add_argument(
        "--at-once", type=int, nargs="+", default=[1, 512], help="residues; 1: a single chain"
    )
    parser.add_argument("--package", action="store_true", help="the package's chains, too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    if arguments.weights:
        config, model = weights.read(arguments.weights)
    else:
        config = SHAPES[arguments.shape]
        model = ProteinVQVAE(config, nnx.Rngs(0))
    rounds = arguments.rounds
    about = machine.describe(("jax", "jaxlib", "flax", "numpy"))
    device = jax.devices()[0].device_kind
    print(machine.text(about), device, sep="; ", flush=True)
    result = {
        "machine": about,
        "device": device,
        "shape": str(arguments.weights or arguments.shape),
        "parameters": sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param))),
        "rounds": rounds,
        "lengths": [],
        "package": [],
    }
    for residues in arguments.at_once:
        tokenizer = ProteinTokenizer(config, model, residues)
        for length in arguments.lengths:
            rows = max(1, residues // length)
            if rows > 1 or residues == 1:
                row = {"length": length, "rows": rows} | measured(
                    tokenizer, [coil(length, seed) for seed in range(rows)], rounds
                )
                result["lengths"].append(row)
                print(text(row), flush=True)
        if arguments.package:
            row = {"residues_at_once": residues} | mixed(tokenizer, package_chains(), rounds)
            result["package"].append(row)
            print(text(row), flush=True)
    result["parts"] = parts(config, model, coil(256, 0), rounds)
    shown = {name: f"{took['processor']:.4f}" for name, took in result["parts"].items()}
    print("encoding one chain of 256 residues, seconds of processor:", shown)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def measured(tokenizer: ProteinTokenizer, some: list[Chain], rounds: int) -> dict:
    """What encoding and decoding take, a chain."""
    encode = seconds(partial(tokenizer.encode_batch, some), len(some), rounds)
    codes = tokenizer.encode_batch(some)
    return {
        "encode": encode,
        "decode": seconds(partial(tokenizer.decode_batch, codes), len(some), rounds),
    }


def mixed(tokenizer: ProteinTokenizer, real: list[Chain], rounds: int) -> dict:
    """The same of chains of all lengths, and how much of it is padding and filling gaps."""
    lengths = np.array([len(sequence) for _, sequence in real])
    filled = sum(padded(int(length), tokenizer.config.max_length) for length in lengths)
    fill = seconds(lambda: [gaps.fill(backbone) for backbone, _ in real], len(real), rounds)
    return {
        "chains": len(real),
        "mean_length": round(float(lengths.mean()), 1),
        "padding": round(1 - float(lengths.sum()) / filled, 3),
        "gap_filling": fill,
        **measured(tokenizer, real, rounds),
    }


def parts(config: ProteinVQVAEConfig, model: ProteinVQVAE, chain: Chain, rounds: int) -> dict:
    """What each part of encoding one chain takes, seconds."""
    backbone, _ = chain
    graphdef, state = nnx.split(model)
    present = jnp.ones((1, len(backbone)), bool)
    made = jax.jit(jax.vmap(partial(featurise, neighbours=config.neighbours)))
    inputs = jnp.asarray(backbone[None, :, :3], jnp.float32), jnp.zeros(present.shape, int), present
    wide = jnp.ones((*present.shape, config.encoder.embed_dim))
    narrow = jnp.ones((*present.shape, config.quantizer.dim))

    def part(run: Callable) -> Callable:
        compiled = jax.jit(lambda state, x: run(nnx.merge(graphdef, state), x))
        return partial(compiled, state)

    each = {
        "features": (lambda x: made(*x), inputs),
        "graph_network": (part(lambda net, x: jax.vmap(net.gcpnet)(x)), made(*inputs)),
        "transformer": (part(lambda net, x: net.encoder(x, present)), wide),
        "codebook": (part(lambda net, x: net.quantize(x, present)), narrow),
    }
    return {name: seconds(partial(_finish, run, x), 1, rounds) for name, (run, x) in each.items()}


def _finish(run: Callable, x) -> None:
    jax.block_until_ready(run(x))


def seconds(run: Callable, count: int, rounds: int) -> dict:
    """Medians of clock and processor seconds for one of `count`, and what the first run took."""
    begin = time.perf_counter()
    run()
    first = time.perf_counter() - begin
    clock, processor = [], []
    for _ in range(rounds):
        begin, used = time.perf_counter(), time.process_time()
        run()
        clock.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    return {
        "clock": _short(statistics.median(clock) / count),
        "processor": _short(statistics.median(processor) / count),
        "first": _short(first),
    }


def coil(length: int, seed: int) -> Chain:
    """A chain of random steps: as expensive as any of its length."""
    random = np.random.default_rng(seed)
    ca = np.cumsum(random.normal(size=(length, 1, 3), scale=2.2), axis=0)
    return ca + random.normal(size=(length, 4, 3)), "G" * length


def package_chains() -> list[Chain]:
    """The backbone and sequence of each chain that comes with the package."""
    folder = resources.files("biomatrix_jax") / "assets" / "proteins"
    found = []
    for file in files.structure_files(str(folder)):
        for parsed in files.parse(file).chains:
            chain = chains.read_chain(parsed, chains.Limits())
            found.append((chain.backbone, chain.sequence))
    return found


def text(row: dict) -> str:
    about = ", ".join(f"{key} {value}" for key, value in row.items() if not isinstance(value, dict))
    speeds = ", ".join(
        f"{name} {1 / took['clock']:.2f} chains/s ({took['processor']:.3f} s of processor each)"
        for name, took in row.items()
        if isinstance(took, dict)
    )
    return f"{about}: {speeds}"


def _short(number: float) -> float:
    return float(f"{number:.4g}")


if __name__ == "__main__":
    main()
