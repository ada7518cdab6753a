"""Tasks in processes of this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.engine.local import local

SCRIPT = """
import signal, sys, time
from pathlib import Path
from data_pipeline.engine.local import local

def work(task):
    Path(sys.argv[1], str(task)).touch()
    time.sleep(600)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where this is a job that ignores it
    local(2)(work, [1, 2, 3, 4], print)
"""


def refuse(task):
    raise BadInput(f"task {task} is no good")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_task_refuses_ends_it_all(workers):
    done = []
    with pytest.raises(BadInput, match=r"task [ab] is no good"):
        local(workers)(refuse, ["a", "b"], done.append)
    assert done == []


@pytest.mark.slow
def test_an_interrupt_does_not_wait_for_tasks(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "begun").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    arguments = [sys.executable, tmp_path / "script.py", tmp_path / "begun"]
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)
    try:
        while len(list((tmp_path / "begun").iterdir())) < 2:
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) != 0  # the tasks take ten minutes
    finally:
        process.kill()
