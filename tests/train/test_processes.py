"""Training by several processes over loopback, beside one process with all the devices."""

import dataclasses
import io
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from biomatrix_jax.config import MeshConfig, dump
from biomatrix_jax.errors import BadInput
from biomatrix_jax.sharding.mesh import make_mesh
from biomatrix_jax.sharding.rules import own_share
from biomatrix_jax.train import metrics
from biomatrix_jax.train.loop import train
from tests import processes


@pytest.fixture(scope="module")
def alone(run_config, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "run"
    train(run_config, out, display=io.StringIO())
    return out


TRAIN = """
import io, pathlib
from biomatrix_jax.config import load
from biomatrix_jax.train.loop import train
shown = io.StringIO()
done = train(load({config!r}, {overrides!r}), pathlib.Path({out!r}), display=shown)
answer([done, len(shown.getvalue()) > 0])
"""


def train_together(config, overrides, out, count):
    path = out.parent / "together.yaml"
    path.write_text(dump(config))
    script = TRAIN.format(config=str(path), overrides=list(overrides), out=str(out))
    return processes.run(script, count, 8 // count)


def losses(out):
    return [line["loss"] for line in metrics.read(out / metrics.FILE)]


@pytest.mark.parametrize(
    ("count", "mesh"),
    [
        (2, MeshConfig(fsdp=4, tensor=2)),
        pytest.param(4, MeshConfig(fsdp=4, tensor=2), marks=pytest.mark.slow),
        # All rows in both processes.
        pytest.param(2, MeshConfig(tensor=2, context=4), marks=pytest.mark.slow),
    ],
)
def test_the_losses_are_those_of_one_process(run_config, alone, tmp_path, count, mesh):
    config = dataclasses.replace(run_config, mesh=mesh)
    answers = train_together(config, [], tmp_path / "run", count)
    assert answers == [[6, True]] + [[6, False]] * (count - 1)
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(alone), rtol=2e-6)
    assert [line["step"] for line in metrics.read(tmp_path / "run" / metrics.FILE)] == [
        *range(1, 7)
    ]
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(run_config, alone, tmp_path):
    out = tmp_path / "run"
    script = """
import io, os, pathlib, signal
import biomatrix_jax.train.loop as loop
from biomatrix_jax.config import load
told = loop.any_process
steps = []
def after_two(flag):
    steps.append(1)
    return told(flag or (jax.process_index() == 1 and len(steps) == 2))
loop.any_process = after_two
answer(loop.train(load({config!r}), pathlib.Path({out!r}), display=io.StringIO()))
"""
    path = tmp_path / "config.yaml"
    path.write_text(dump(run_config))
    # Process 1 alone is told to stop, and both stop after the same step.
    stopped = processes.run(script.format(config=str(path), out=str(out)), 2, 4)
    assert stopped == [2, 2]
    assert train_together(run_config, [], out, 4)[0] == [6, True]
    np.testing.assert_allclose(losses(out), losses(alone), rtol=2e-6)


def start_commands(config, tmp_path):
    """The two processes of a run in `tmp_path`/run, started by the command line."""
    path = tmp_path / "config.yaml"
    path.write_text(dump(config))
    command = [sys.executable, "-m", "biomatrix_jax.cli", "train", path, "--out", tmp_path / "run"]
    command += ["--cpu-devices", "4", "--processes", "2"]
    command += ["--coordinator", f"127.0.0.1:{processes.free_port()}"]
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return [
        subprocess.Popen(
            [*map(str, command), "--process-id", str(i)], env=environment, stderr=subprocess.PIPE
        )
        for i in range(2)
    ]


@pytest.mark.slow
def test_the_command_line_joins_processes(run_config, alone, tmp_path):
    for process in start_commands(run_config, tmp_path):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(alone), rtol=2e-6)


@pytest.mark.slow
def test_the_others_stop_when_one_dies(run_config, tmp_path):
    endless = dataclasses.replace(run_config.train, steps=100_000)
    started = start_commands(dataclasses.replace(run_config, train=endless), tmp_path)
    try:
        lines = tmp_path / "run" / metrics.FILE
        deadline = time.monotonic() + 200
        while not (lines.exists() and lines.read_bytes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        started[1].send_signal(signal.SIGKILL)
        _, errors = started[0].communicate(timeout=200)
    finally:
        for process in started:
            process.kill()
    assert started[0].returncode not in (0, None)
    assert errors


@pytest.mark.parametrize("mesh", [MeshConfig(fsdp=8), MeshConfig(fsdp=2, tensor=4)])
def test_one_process_holds_all_rows(mesh):
    sharding = jax.sharding.NamedSharding(
        make_mesh(mesh, jax.devices()), jax.sharding.PartitionSpec(("data", "fsdp"))
    )
    assert own_share(jax.ShapeDtypeStruct((16, 32), np.int32, sharding=sharding)) == (0, 1)


def test_half_a_description_of_the_processes():
    from biomatrix_jax.processes import join

    with pytest.raises(BadInput, match="all of --coordinator"):
        join("127.0.0.1:1")
    with pytest.raises(BadInput, match="must be from 0 to 1"):
        join("127.0.0.1:1", 2, 2)
