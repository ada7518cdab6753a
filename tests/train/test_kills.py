"""Runs of the command that are killed or told to stop at all moments, beside one that is not."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from biomatrix_jax.checkpoint import CheckpointStore
from biomatrix_jax.config import MeshConfig, dump
from biomatrix_jax.train import metrics

PATIENCE = 240  # seconds


class Command:
    """`biomatrix train` in a process of its own."""

    def __init__(self, config, out):
        self.out = out
        self._before = self._temporary()
        path = out.parent / f"{out.name}.yaml"
        path.write_text(dump(config))
        command = [sys.executable, "-m", "biomatrix_jax.cli", "train", path, "--out", out]
        environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | {
            # Every start compiles the same programs.
            "JAX_COMPILATION_CACHE_DIR": str(out.parent / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        self.process = subprocess.Popen(
            [*map(str, command), "--cpu-devices", "2"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    def step(self):
        """The last one written down."""
        path = self.out / metrics.FILE
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def saves(self):
        """The folders of saves that this process has begun and not finished."""
        return self._temporary() - self._before

    def wait_for(self, happened):
        """Whether it happened before the process ended."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            if happened():
                return True
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        return False

    def end(self, number=None):
        """(exit status, standard error), after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors

    def _temporary(self):
        return set((self.out / "checkpoints").glob("*.orbax-checkpoint-tmp*"))


@pytest.fixture(scope="module")
def small(run_config):
    return dataclasses.replace(
        run_config,
        model=dataclasses.replace(run_config.model, layers=1),
        mesh=MeshConfig(fsdp=2),
        optimizer=dataclasses.replace(run_config.optimizer, ema_decay=0.9),
        train=dataclasses.replace(
            run_config.train, checkpoint_every=3, keep_checkpoints=2, tensorboard=False
        ),
    )


def of_steps(config, steps):
    return dataclasses.replace(
        config, train=dataclasses.replace(config.train, steps=steps, keep_every=steps // 2)
    )


def whole(config, out):
    """The run in one go."""
    command = Command(config, out)
    status, errors = command.end()
    assert status == 0, errors
    return out


def what_it_learned(out):
    """All of the metrics that is not time."""
    timings = {"seconds", "tokens_per_second", "mfu", "peak_flops", "peak_source"}
    lines = metrics.read(out / metrics.FILE)
    return [{k: v for k, v in line.items() if k not in timings} for line in lines]


def assert_same_run(out, expected, steps):
    learned = what_it_learned(out)
    assert [line["step"] for line in learned] == [*range(1, steps + 1)]
    assert learned == what_it_learned(expected)
    ours, theirs = (CheckpointStore.open(place / "checkpoints") for place in (out, expected))
    # The two newest, and those at multiples of half the steps.
    assert ours.steps() == theirs.steps() == [steps // 2, steps - 3, steps]
    for item in ("params", "average", "training"):
        names = theirs.shapes(steps, item)
        assert names
        assert ours.shapes(steps, item) == names
        for name in names:
            a, b = (store.reader(steps, item).read(name) for store in (ours, theirs))
            assert a.tobytes() == b.tobytes(), (item, name)


def kill(config, out, moment, rng, started):
    """Starts the run and kills it; returns whether it was there to be killed, and in a save.

    Args:
      moment: "set up", "steps" or "save".
      started: seconds that setting up takes.
    """
    command = Command(config, out)
    before, saves = command.step(), set()
    if moment == "set up":
        time.sleep(rng.uniform(0, started))
    elif moment == "steps":
        steps = rng.randint(1, 5)
        written, last = 0, before

        def wrote():
            nonlocal written, last
            now = command.step()
            written += max(now - last, 0)  # it is cut back to the latest checkpoint first
            last = now
            return written >= steps

        command.wait_for(wrote)
        time.sleep(rng.uniform(0, 0.05))
    else:
        count = rng.randint(1, 2)

        def saving():
            saves.update(command.saves())
            return len(saves) >= count

        command.wait_for(saving)
    status, _ = command.end(signal.SIGKILL)
    return status == -signal.SIGKILL, bool(command.saves())


def killed_again_and_again(config, tmp_path, steps, moments, seed):
    config, rng = of_steps(config, steps), random.Random(seed)
    expected = whole(config, tmp_path / "whole")
    out, kills, in_saves = tmp_path / "run", 0, 0
    for moment in moments:
        killed, in_save = kill(config, out, moment, rng, started=6)
        kills += killed
        in_saves += in_save
    whole(config, out)
    assert_same_run(out, expected, steps)
    return kills, in_saves


def test_a_killed_run_goes_on_bit_for_bit(small, tmp_path):
    moments = ["steps", "save"]
    kills, in_saves = killed_again_and_again(small, tmp_path, 24, moments, seed=3)
    assert kills == len(moments)
    assert in_saves


@pytest.mark.slow
def test_a_run_killed_at_every_moment_goes_on_bit_for_bit(small, tmp_path):
    moments = ["set up", "save", "steps", "save"] * 6
    kills, in_saves = killed_again_and_again(small, tmp_path, 144, moments, seed=7)
    assert kills >= 20
    assert in_saves >= 5


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["set up", "save"])
def test_sigterm_ends_well(small, tmp_path, moment):
    out = tmp_path / "run"
    command = Command(of_steps(small, 100_000), out)
    happened = {"set up": (out / "lock").exists, "save": command.saves}[moment]
    assert command.wait_for(happened)
    status, errors = command.end(signal.SIGTERM)
    assert status == 0, errors
    if moment == "set up":
        assert "stopped before step 1: nothing to save" in errors
        assert not out.exists()
    else:
        done = command.step()
        assert f"stopped and saved after step {done}" in errors
        store = CheckpointStore.open(out / "checkpoints")
        assert store.latest() == done
        assert store.restore_data(done)["step"] == done


FULL = """
import resource
from biomatrix_jax.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
main()
"""


@pytest.mark.slow
def test_a_disk_that_is_full_half_way(small, tmp_path):
    pytest.importorskip("resource")  # a limit on files stands for a full disk
    config, out = of_steps(small, 24), tmp_path / "run"
    command = Command(config, out)
    assert command.wait_for(lambda: (out / "checkpoints" / "3").exists())
    command.end(signal.SIGKILL)
    good = CheckpointStore.open(out / "checkpoints").latest()
    arguments = ["train", tmp_path / "run.yaml", "--out", out, "--cpu-devices", "2"]
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    full = subprocess.run(
        [sys.executable, "-c", FULL, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert full.returncode == 2, full.stderr
    (line,) = [line for line in full.stderr.splitlines() if line.startswith("biomatrix: ")]
    assert f"File too large: the run stops; step {good} is its last good checkpoint in" in line
    assert "Traceback" not in full.stderr
    whole(config, out)
    assert [line["step"] for line in what_it_learned(out)] == [*range(1, 25)]


def test_two_processes_do_not_write_one_run(small, tmp_path):
    config, out = of_steps(small, 100_000), tmp_path / "run"
    first = Command(config, out)
    assert first.wait_for((out / "lock").exists)
    status, errors = Command(config, out).end()
    assert status == 2
    assert f"{out} is being written by process {first.process.pid} on" in errors
    assert first.process.poll() is None
    assert first.end(signal.SIGKILL)[0] == -signal.SIGKILL
