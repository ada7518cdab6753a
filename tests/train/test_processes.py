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

from biomatrix_jax.checkpoint import complete_steps
from biomatrix_jax.config import MeshConfig, dump
from biomatrix_jax.errors import BadInput
from biomatrix_jax.processes import HEARTBEAT
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


def assert_same_tokens(out, alone):
    """Counted over all processes, each row once, and as the devices count them."""
    lines, expected = (metrics.read(run / metrics.FILE) for run in (out, alone))
    for line, want in zip(lines, expected, strict=True):
        assert sum(line["tokens_by_source"].values()) == line["tokens"] == want["tokens"]
        for key in ("tokens_by_modality", "drawn_by_source", "drawn_by_modality"):
            assert line[key] == want[key], key


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
    assert_same_tokens(tmp_path / "run", alone)
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
class AfterTwo(loop.Vote):
    # Process 1 wants to stop after its second step; all hear it at the next one.
    steps = 0
    def __call__(self, flag, after):
        self.steps += 1
        wants = jax.process_index() == 1 and self.steps == 2
        return super().__call__(flag or wants, after)
loop.Vote = AfterTwo
answer(loop.train(load({config!r}), pathlib.Path({out!r}), display=io.StringIO()))
"""
    path = tmp_path / "config.yaml"
    path.write_text(dump(run_config))
    # Process 1 alone is told to stop, and both stop after the same step.
    stopped = processes.run(script.format(config=str(path), out=str(out)), 2, 4)
    assert stopped == [3, 3]
    assert train_together(run_config, [], out, 4)[0] == [6, True]
    np.testing.assert_allclose(losses(out), losses(alone), rtol=2e-6)
    assert_same_tokens(out, alone)


def start_commands(config, tmp_path, second=()):
    """The two processes of a run in `tmp_path`/run, started by the command line.

    Args:
      second: what process 1 alone is told.
    """
    path = tmp_path / "config.yaml"
    path.write_text(dump(config))
    command = [sys.executable, "-m", "biomatrix_jax.cli", "train", path, "--out", tmp_path / "run"]
    command += ["--cpu-devices", "4", "--processes", "2"]
    command += ["--coordinator", f"127.0.0.1:{processes.free_port()}"]
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return [
        subprocess.Popen(
            [*map(str, command), "--process-id", str(i), *(second if i else ())],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]


def wait_for_a_step(out):
    lines = out / metrics.FILE
    deadline = time.monotonic() + 200
    while not (lines.exists() and lines.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.slow
def test_the_command_line_joins_processes(run_config, alone, tmp_path):
    for process in start_commands(run_config, tmp_path):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(alone), rtol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("dying", [0, 1])
def test_the_other_stops_when_one_dies(run_config, tmp_path, dying):
    endless = dataclasses.replace(run_config.train, steps=100_000)
    started = start_commands(dataclasses.replace(run_config, train=endless), tmp_path)
    try:
        wait_for_a_step(tmp_path / "run")
        started[dying].send_signal(signal.SIGKILL)
        began = time.monotonic()
        _, errors = started[1 - dying].communicate(timeout=200)
        assert time.monotonic() - began < HEARTBEAT  # bounded, and by no waiting for heartbeats
    finally:
        for process in started:
            process.kill()
    assert started[1 - dying].returncode == 1
    said = [line for line in errors.splitlines() if line.startswith("biomatrix: ")]
    assert said == [
        f"biomatrix: process {dying} of 2 died: the run stops; start it again to resume"
    ]
    assert "Traceback" not in errors


@pytest.mark.slow
def test_both_stop_when_one_lacks_the_data(run_config, tmp_path):
    started = start_commands(run_config, tmp_path, ["data.path=nowhere"])
    errors = [process.communicate(timeout=200)[1] for process in started]
    assert [process.returncode for process in started] == [2, 2]
    assert "biomatrix: nowhere: no manifest.json" in errors[1]
    assert "biomatrix: process 1 of 2 gave up: nowhere: no manifest.json" in errors[0]


@pytest.mark.slow
def test_both_save_and_stop_when_one_is_told_to(run_config, tmp_path):
    endless = dataclasses.replace(run_config.train, steps=100_000)
    started = start_commands(dataclasses.replace(run_config, train=endless), tmp_path)
    wait_for_a_step(tmp_path / "run")
    started[1].send_signal(signal.SIGTERM)
    errors = [process.communicate(timeout=200)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    done = metrics.read(tmp_path / "run" / metrics.FILE)[-1]["step"]
    assert f"stopped and saved after step {done}" in errors[0]
    assert complete_steps(tmp_path / "run" / "checkpoints")[-1] == done


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
