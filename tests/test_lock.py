import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.lock import FILE, locked

HOLD = """
import pathlib, sys
from biomatrix_jax.lock import locked
with locked(pathlib.Path(sys.argv[1]), print):
    pathlib.Path(sys.argv[1], "config.yaml").touch()
    print("held", flush=True)
    sys.stdin.read()
"""


def silent(line):
    raise AssertionError(line)


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path / "run"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_told_who_the_first_one_is(holder, tmp_path):
    with (
        pytest.raises(BadInput, match=f"run is being written by process {holder.pid} on "),
        locked(tmp_path / "run", silent),
    ):
        pass
    holder.communicate("")
    with locked(tmp_path / "run", silent):
        text = (tmp_path / "run" / FILE).read_text()
        assert text.startswith(f"process {os.getpid()} on ")


def test_a_killed_process_holds_no_lock(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / "run", silent):
        pass
    assert (tmp_path / "run" / "config.yaml").exists()


def test_nothing_is_left_where_nothing_was_written(tmp_path):
    with pytest.raises(BadInput, match="refused"), locked(tmp_path / "a" / "run", silent):
        assert (tmp_path / "a" / "run" / FILE).exists()
        raise BadInput("refused")
    assert not list(tmp_path.iterdir())


def test_a_directory_that_was_there_stays(tmp_path):
    with locked(tmp_path, silent):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_lock_whose_file_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    take, taken = fcntl.flock, []

    def removed_first(handle, how):
        take(handle, how)
        taken.append(handle)
        if len(taken) == 1:
            (tmp_path / FILE).unlink()

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with locked(tmp_path, silent):
        assert len(taken) == 2
        assert (tmp_path / FILE).exists()


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(handle, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    said = []
    with locked(tmp_path, said.append):
        pass
    assert len(said) == 1
    assert "has no locks" in said[0]
