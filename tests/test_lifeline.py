"""Real processes, one of which dies or gives up: what the others say, how they end, and when."""

import os
import subprocess
import sys
import time

import pytest

from tests import processes

# What becomes of process {who}; the others wait for it, in a collective or not.
SCRIPT = """
import os, socket, sys, time
import jax
import numpy as np
from jax.experimental import multihost_utils
from biomatrix_jax import cli, lifeline
from biomatrix_jax.errors import BadInput
from biomatrix_jax.lifeline import shared_fate
from biomatrix_jax.processes import join
who, how, busy, count, process, port = sys.argv[1:]
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 1)
join(f"127.0.0.1:{port}", int(count), int(process))

def work():
    with shared_fate():
        multihost_utils.sync_global_devices("all are there")
        if process == who:
            time.sleep(0.5)
            if "stranger" in how:
                client, host = lifeline._runtime()
                door = int(client.blocking_key_value_get(lifeline.KEY, 1000).split()[0])
                for greeting in (b"GET / HTTP/1.1\\r\\n\\r\\n", b"3\\n", b"x" * 5000):
                    with socket.create_connection((host, door)) as stranger:
                        stranger.sendall(greeting)
                time.sleep(0.5)
            if how.startswith("dies"): os.kill(os.getpid(), 9)
            if how == "refuses": raise BadInput("its shard is missing")
            if how == "fails": raise RuntimeError("a bug")
        while how != "ends":
            if busy == "yes": multihost_utils.process_allgather(np.int32(0))
            else: time.sleep(300)

cli.biomatrix = lambda **_: work()
cli.main()
"""


def run(who, how, busy=False, count=2):
    """(exit status, standard error) of each process."""
    port = processes.free_port()
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    words = map(str, (who, how, "yes" if busy else "no", count))
    command = [sys.executable, "-c", SCRIPT, *words]
    started = [
        subprocess.Popen(
            [*command, str(i), str(port)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for i in range(count)
    ]
    try:
        # The runtime's own time out is longer: what ends them is ours.
        deadline = time.monotonic() + 120
        errors = [p.communicate(timeout=deadline - time.monotonic())[1] for p in started]
    finally:
        for process in started:
            process.kill()
    return [(p.returncode, text) for p, text in zip(started, errors, strict=True)]


def ours(text):
    return [line for line in text.splitlines() if line.startswith("biomatrix: ")]


@pytest.mark.parametrize(
    ("who", "how", "busy"),
    [
        (0, "dies", False),
        (1, "dies after a stranger called", False),
        pytest.param(0, "dies", True, marks=pytest.mark.slow),
        pytest.param(1, "dies", True, marks=pytest.mark.slow),
    ],
)
def test_the_others_stop_when_one_is_killed(who, how, busy):
    found = run(who, how, busy)
    assert found[who][0] == -9
    status, text = found[1 - who]
    assert status == 1
    message = f"process {who} of 2 died: the run stops; start it again to resume"
    assert ours(text) == [f"biomatrix: {message}"]
    assert "Traceback" not in text


@pytest.mark.slow
def test_the_news_goes_round():
    found = run(2, "dies", count=3)
    for status, text in found[:2]:
        assert status == 1
        assert text == ("biomatrix: process 2 of 3 died: the run stops; start it again to resume\n")


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize(
    ("how", "status", "why"), [("refuses", 2, "its shard is missing"), ("fails", 1, "a bug")]
)
def test_the_others_stop_when_one_gives_up(who, how, status, why):
    found = run(who, how, busy=True)
    assert [one[0] for one in found] == [status, status]
    assert why in found[who][1].splitlines()[-1]
    assert ("Traceback" in found[who][1]) == (how == "fails")
    assert ours(found[1 - who][1]) == [
        f"biomatrix: process {who} of 2 gave up: {why}: the run stops; start it again to resume"
    ]


@pytest.mark.slow
def test_processes_that_end_together_say_nothing():
    assert run(0, "ends") == [(0, ""), (0, "")]
