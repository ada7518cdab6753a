"""Seconds and peak memory of a command, its children included. Linux only: it reads /proc.

Whoever uses it must stay small: Linux counts the memory that a process had when it started a
command towards that command's maximum.
"""

import dataclasses
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

INTERVAL = 0.02  # seconds between two looks


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a command.

    Attributes:
      seconds: until it ended.
      seconds_on_disk: until what it wrote had left the page cache too.
      peak_bytes: the most that was resident, pages of mapped files included; where there were
        several processes, the sum of each one's own maximum, which is never too little.
      anonymous_bytes: the most seen at once without pages of files, which the system can drop.
      output: its standard output.
    """

    seconds: float
    seconds_on_disk: float
    peak_bytes: int
    anonymous_bytes: int
    output: str = dataclasses.field(repr=False)

    def record(self) -> dict:
        return {k: v for k, v in dataclasses.asdict(self).items() if k != "output"}


def measure(command: list, disk: Path, environment: dict[str, str] | None = None) -> Run:
    """Runs a command to its end.

    Args:
      disk: a path on the file system that the command writes to.
      environment: variables set besides those of this process.

    Raises:
      subprocess.CalledProcessError: it failed; `stderr` is what it said.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=errors,
            env=os.environ | (environment or {}),
        )
        watch = _Watch(process.pid)
        try:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            watch.stop()
            if process.returncode is None:
                process.kill()
                process.wait()
        seconds = time.perf_counter() - start
        subprocess.run(["sync", "-f", disk], check=True)
        on_disk = time.perf_counter() - start
        texts = [(file.seek(0), file.read())[1] for file in (output, errors)]
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, *texts)
    peak = max(usage.ru_maxrss * 1024, sum(watch.peaks.values()))
    return Run(seconds, on_disk, peak, watch.anonymous, texts[0])


def bare_interpreter(python: str) -> int:
    """Peak resident bytes of an interpreter that does nothing else."""
    code = "print(open('/proc/self/status').read())"
    status = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return _sizes(status.stdout)["VmHWM"]


class _Watch:
    """Looks at a process and its descendants until told to stop."""

    def __init__(self, pid: int):
        self.peaks: dict[int, int] = {}  # resident, by process
        self.anonymous = 0  # of all at once
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(INTERVAL):
            sizes = {pid: _sizes(_read(f"/proc/{pid}/status")) for pid in _family(self._pid)}
            for pid, size in sizes.items():
                self.peaks[pid] = max(self.peaks.get(pid, 0), size.get("VmHWM", 0))
            total = sum(size.get("RssAnon", 0) for size in sizes.values())
            self.anonymous = max(self.anonymous, total)


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []
    lists = [_read(f"/proc/{pid}/task/{thread}/children").split() for thread in threads]
    return [pid, *(one for each in lists for child in each for one in _family(int(child)))]


def _sizes(status: str) -> dict[str, int]:
    """The sizes in the text of a /proc/PID/status, in bytes; none of a process that has ended."""
    fields = [line.split() for line in status.splitlines()]
    return {f[0].rstrip(":"): int(f[1]) * 1024 for f in fields if f[2:] == ["kB"]}


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it ended meanwhile
