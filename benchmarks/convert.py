"""Seconds and peak memory of converting weights both ways, beside `cp` and loading everything.

    python benchmarks/convert.py [--config NAME] [--peer-python PYTHON]
    python benchmarks/convert.py --sweep

Writes a model with the true shapes of a configuration and made-up bfloat16 weights (4.2 GB for
biomatrix_1p7b) into a scratch directory, converts it with the command line into our checkpoint and
back, proves with `convert verify` that the bits are the same, and clears up. On the disk are at
most the model and two copies.

Each repeat measures all candidates in turn, each as a process of its own, with its input in the
page cache and the disk at rest. `cp` copies what the conversion beside it reads. Peak memory is
what is resident at most, pages of mapped files included, above what a bare interpreter needs. Peers
load all weights and save them in another format: `benchmarks/peers/load_all.py`; the one with torch
needs a Python that has torch and safetensors. --sweep measures ours on models of several sizes.
Results go to benchmarks/results/ too. Linux only.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import convert_tables as tables
import machine
from convert_tables import CP, OURS
from measure import Run, bare_interpreter, measure

HERE = Path(__file__).resolve().parent
COMMAND = [sys.executable, "-m", "biomatrix_jax.cli", "convert"]
FROM, TO = "from-hf", "to-hf"
COPIES = 3  # of the model on the disk: itself, its checkpoint, what is made of that
SWEEP = ("smoke", "qwen3_0p6b", "biomatrix_1p7b", "biomatrix_4b")
PACKAGES = ("jax", "orbax-checkpoint", "tensorstore", "safetensors", "numpy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="biomatrix_1p7b")
    parser.add_argument("--sweep", action="store_true", help=f"ours alone on {', '.join(SWEEP)}")
    parser.add_argument("--repeats", type=int, help="default: 5, or 1 with --sweep")
    parser.add_argument("--scratch", type=Path, help="a directory with room for three models")
    parser.add_argument("--peer-python", default=sys.executable, help="with torch and safetensors")
    parser.add_argument("--load", action="store_true", help="bm.load over 8 simulated devices too")
    parser.add_argument("--results", type=Path, default=HERE / "results", metavar="DIR")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or gigabytes would stay on the disk
    arguments.results.mkdir(parents=True, exist_ok=True)
    repeats = arguments.repeats or (1 if arguments.sweep else 5)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        scratch = Path(scratch)
        about = machine.describe(PACKAGES, scratch)
        if arguments.sweep:
            models = [compare(name, repeats, {}, scratch, arguments.load) for name in SWEEP]
            result = {"machine": about, "models": models}
            lines = tables.of_models(models)
        else:
            peers, versions = find_peers(arguments.peer_python)
            about["versions"] |= versions
            compared = compare(arguments.config, repeats, peers, scratch, arguments.load)
            result = {"machine": about} | compared
            lines = tables.of_candidates(compared)
    print("\n".join([machine.text(about), "", *lines]))
    name = "sweep" if arguments.sweep else arguments.config
    (arguments.results / f"convert_{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def find_peers(python: str) -> tuple[dict[str, list], dict[str, str]]:
    """The peers' commands, without direction and paths, and the version of torch if it is there."""
    script = HERE / "peers/load_all.py"
    commands = {
        "load all, safetensors": [sys.executable, script, "safetensors"],
        "load all, Orbax": [sys.executable, script, "orbax"],
    }
    code = "import safetensors.torch, torch; print(torch.__version__)"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if found.returncode:
        say(f"{python} has no torch or no safetensors, so that peer is left out: --peer-python")
        return commands, {}
    return commands | {"load all, torch": [python, script, "torch"]}, {
        "torch": found.stdout.strip()
    }


def compare(config: str, repeats: int, peers: dict[str, list], scratch: Path, load: bool) -> dict:
    """All measurements of one model; leaves `scratch` as it was."""
    synthetic = [sys.executable, HERE / "synthetic_hf.py", config]
    model = json.loads(subprocess.check_output(synthetic))
    needed, free = 1.05 * COPIES * model["bytes"], shutil.disk_usage(scratch).free
    if free < needed:
        reason = f"{needed / 1e9:.1f} GB of disk needed, {free / 1e9:.1f} GB free"
        say(f"{config}: not measured: {reason}")
        return {"config": config, "model": model, "not_measured": reason}
    hf = scratch / "hf"
    subprocess.run([*synthetic, hf], check=True, stdout=subprocess.DEVNULL)
    runs: dict[str, dict[str, list[Run]]] = {FROM: {}, TO: {}}
    failed: dict[str, str] = {}
    for repeat in range(repeats):
        say(f"{config}: repeat {repeat + 1} of {repeats}")
        round_trip(OURS, COMMAND, scratch, runs)
        if repeat == 0:
            verified = verify(scratch)
        remove(scratch / "checkpoint", scratch / "back")
        for name in [peer for peer in peers if peer not in failed]:
            try:
                round_trip(name, peers[name], scratch, runs)
            except subprocess.CalledProcessError as error:  # of memory too small, say
                failed[name] = f"exit status {error.returncode} {error.stderr.strip()[-300:]}"
                say(f"{name} failed: {failed[name]}")
            remove(scratch / "checkpoint", scratch / "back")
    bare = bare_interpreter(sys.executable)
    result = {
        "config": config,
        "model": model,
        "repeats": repeats,
        "bare_interpreter_bytes": bare,
        "bound_bytes": int(1.5 * model["largest"]["bytes"] + 300e6),
        "measured": {direction: summary(of, bare) for direction, of in runs.items()},
        "failed": failed,
        "verified_bit_for_bit": verified,
    }
    if load:
        result["load"] = loaded(hf, bare + model["bytes"])
    remove(hf)
    return result


def round_trip(name: str, command: list, scratch: Path, runs: dict) -> None:
    """Both conversions by one candidate; beside ours, `cp` of what it reads."""
    hf, checkpoint, back = (scratch / part for part in ("hf", "checkpoint", "back"))
    for direction, src, dst in ((FROM, hf, checkpoint), (TO, checkpoint, back)):
        measured = {name: [*command, direction, src, dst]}
        if name == OURS:
            # Copies bytes even where the file system could share them.
            measured = {CP: ["cp", "-r", "--reflink=never", src, dst]} | measured
        for each, line in measured.items():
            remove(dst)
            read(src)
            os.sync()
            run = measure(line, scratch)
            runs[direction].setdefault(each, []).append(run)


def read(directory: Path) -> None:
    """Reads all files, so that they are in the page cache."""
    buffer = bytearray(1 << 20)
    for path in filter(Path.is_file, directory.rglob("*")):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def verify(scratch: Path) -> dict[str, dict]:
    """Compares the model with its checkpoint and with what came back; a difference is an error."""
    return {
        name: measure([*COMMAND, "verify", scratch / "hf", scratch / name], scratch).record()
        for name in ("checkpoint", "back")
    }


def loaded(hf: Path, expected: int) -> dict:
    """`bm.load`: in all, and above interpreter and parameters."""
    run = measure([sys.executable, HERE / "load_sharded.py", hf], hf)
    return run.record() | {"above_parameters_bytes": run.peak_bytes - expected}


def summary(runs: dict[str, list[Run]], bare: int) -> dict[str, dict]:
    """Of each candidate the medians of the seconds and the largest of the peaks."""
    result = {}
    for name, each in runs.items():
        result[name] = {
            "above_interpreter_bytes": max(run.peak_bytes for run in each) - bare,
            "runs": [run.record() for run in each],
        }
        for key in ("seconds", "seconds_on_disk"):
            own, copied = (statistics.median(getattr(r, key) for r in x) for x in (each, runs[CP]))
            result[name] |= {key: own, f"{key}_by_cp": own / copied}
    return result


def remove(*directories: Path) -> None:
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        sys.exit(
            f"exit status {error.returncode}: {command}\n{error.output or ''}{error.stderr or ''}"
        )
