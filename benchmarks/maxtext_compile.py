"""Memory, arithmetic and estimated time of our step beside MaxText's, by the TPU compiler alone.

    benchmarks/peers/maxtext_compile.sh PLACE      (makes MaxText's environment; see there)
    python benchmarks/maxtext_compile.py --peer-python PYTHON [--json FILE]

Qwen3-1.7B with its own vocabulary of 151,936, tied; 8,192 packed tokens to a chip, `fsdp` over 8
v5p chips, full rematerialisation, bfloat16 products, AdamW with weights and both moments in float32
(12 bytes a parameter, an eighth of them on a chip: 2.58 GB), clipped gradients. MaxText by default
and at its best for memory (`num_vocab_tiling=8`). Ours by the same compiler, by the one that our
lock file pins, and with a policy that keeps more of the forward pass.

Each is compiled in a process of its own, one after the other, in rounds: how long that takes is the
median of them, for the same compile takes up to half as long again from one time to the next. The
step's own time is not measured, for there is no chip, but estimated from each program's text in the
same way: see `biomatrix_jax/plan/roofline.py`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import machine

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "peers"))

OWN = dict(os.environ)  # before JAX says there which libtpu it has found: each side has its own
CONFIG, TOPOLOGY = "peer_qwen3_1p7b", "v5p:2x2x2"
LIGHTER = "compute.remat=attention_saved"
MAXTEXT = (
    "model_name=qwen3-1.7b",
    "compile_topology=v5p-16",  # counted in cores: 8 chips
    "compile_topology_num_slices=1",
    "per_device_batch_size=1",
    "max_target_length=8192",
    "remat_policy=full",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="of an environment with MaxText and ruamel.yaml")
    parser.add_argument("--json", type=Path, default=HERE / "results/maxtext_compile.json")
    parser.add_argument("--rounds", type=int, default=3, help="compiles of each side")
    parser.add_argument("--ours", nargs="+", metavar=("FOLDER", "key=value"), help="compile ours")
    arguments = parser.parse_args()
    if arguments.ours:
        compile_ours(Path(arguments.ours[0]), arguments.ours[1:])
        return
    if not arguments.peer_python:
        parser.error("--peer-python: name the Python of an environment with MaxText")
    result = compare(arguments.peer_python, arguments.rounds)
    print(table(result))
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def compare(peer_python: str, rounds: int) -> dict:
    """Compiles all sides, one after the other, `rounds` times."""
    peer, own = HERE / "peers/maxtext_step.py", Path(__file__).resolve()
    sides = {
        "MaxText, by default": [peer_python, peer, "{folder}", *MAXTEXT],
        "MaxText, num_vocab_tiling=8": [
            *(peer_python, peer, "{folder}", *MAXTEXT, "num_vocab_tiling=8"),
        ],
        "ours": [peer_python, own, "--ours", "{folder}"],
        f"ours, {LIGHTER}": [peer_python, own, "--ours", "{folder}", LIGHTER],
        "ours, our lock file's compiler": [sys.executable, own, "--ours", "{folder}"],
    }
    about = machine.describe(())  # each side tells its versions
    found = [{name: one(command) for name, command in sides.items()} for _ in range(rounds)]
    return {
        "task": {"config": CONFIG, "topology": TOPOLOGY, "maxtext": " ".join(MAXTEXT)},
        "machine": about,
        "sides": {name: together([of_round[name] for of_round in found]) for name in sides},
    }


def together(rounds: list[dict]) -> dict:
    """One side's rounds: the same program, made in different times."""
    side = dict(rounds[0])
    for name in ("temp_bytes", "flops", "hbm_bytes"):
        if len({of_round[name] for of_round in rounds}) > 1:
            sys.exit(f"the rounds of one side made different programs: their {name} differ")
    for name in ("compile_seconds", "compile_core_seconds"):
        times = [of_round[name] for of_round in rounds]
        side |= {name: statistics.median(times), f"{name}_of_rounds": times}
    return side


def one(command: list) -> dict:
    """Runs a side's compilation and reads its program."""
    environment = OWN | {
        "PYTHONPATH": str(HERE.parent),
        "JAX_PLATFORMS": "cpu",
        # libtpu is to compile, not to look for the machine that it is on.
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [str(part).format(folder=folder) for part in command]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
        said = json.loads((Path(folder) / "said.json").read_text())
        return said | estimate((Path(folder) / "program.txt").read_text())


def estimate(program: str) -> dict:
    """What a step of a compiled program costs a chip, loops counted as often as they run."""
    from biomatrix_jax.chips import find_chip
    from biomatrix_jax.config import MeshConfig
    from biomatrix_jax.plan import roofline
    from biomatrix_jax.plan.hlo.costs import count
    from biomatrix_jax.plan.topology import find_devices
    from biomatrix_jax.sharding import make_mesh

    mesh = make_mesh(MeshConfig(), find_devices(TOPOLOGY))
    chip = find_chip(mesh.devices.flat[0].device_kind)
    speed = roofline.instruction_seconds(chip, "bfloat16")
    costs = count(program, mesh.shape, seconds=speed)
    sent = {
        kind: roofline.collective_seconds(chip, mesh, kind, size)
        for kind, size in costs.sizes.items()
    }
    return {
        "flops": float(costs.flops),
        "hbm_bytes": float(costs.hbm_bytes),
        "sent_bytes": float(sum(kind.wire_bytes(size) for kind, size in costs.sizes.items())),
        "estimated_step_seconds": float(roofline.step_seconds(chip, costs, sent)),
        "not_counted": sorted(costs.unknown),
    }


def compile_ours(folder: Path, overrides: list[str]) -> None:
    import compiled_step

    from biomatrix_jax.config import load
    from biomatrix_jax.plan.topology import find_devices
    from biomatrix_jax.sharding import make_mesh
    from biomatrix_jax.train.step import make_step

    run = load(CONFIG, overrides)
    step = make_step(run, make_mesh(run.mesh, find_devices(TOPOLOGY)))
    with compiled_step.timed() as seconds:
        compiled = step.train.lower(step.state, step.batch).compile()
    compiled_step.keep(compiled, seconds, folder, ("jax", "libtpu", "flax"))


def table(result: dict) -> str:
    heads = "args GB", "temp GB", "sum GB", "peak GB", "TFLOP", "HBM GB", "sent GB", "est. s"
    lines = [f"{'':44}" + "".join(f"{head:>9}" for head in (*heads, "compile", "core s"))]
    for name, side in result["sides"].items():
        arguments, temporaries = side["argument_bytes"], side["temp_bytes"]
        giga = (arguments, temporaries, arguments + temporaries, side["peak_bytes"])
        lines.append(
            f"{name:44}"
            + "".join(f"{size / 1e9:9.2f}" for size in giga)
            + f"{side['flops'] / 1e12:9.2f}{side['hbm_bytes'] / 1e9:9.1f}"
            + f"{side['sent_bytes'] / 1e9:9.2f}{side['estimated_step_seconds']:9.4f}"
            + f"{side['compile_seconds']:9.1f}{side['compile_core_seconds']:9.1f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
