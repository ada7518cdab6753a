"""Points planned side by side, as many as cores and memory allow."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from biomatrix_jax.machine import free_memory, resident_memory

Reply = dict[str, Any]  # {"plan"} or {"invalid"} or {"failed"}, as a rule "host_bytes" too

WORKER = (sys.executable, "-m", "biomatrix_jax.plan.sweep.worker")
FIRST_GUESS = 3 << 30  # bytes a worker takes, until one has told
# Workers share a GPU: none may take all of its memory, as JAX does by itself. And of a compiler
# without a device the warnings are about that.
QUIET = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_CPP_MIN_LOG_LEVEL": "2"}
LOOK = 0.1  # seconds between two looks at who has ended


def run(
    requests: Sequence[dict],
    jobs: int,
    done: Callable[[int, Reply], None],
    need: int = 0,
    command: Sequence[str] = WORKER,
) -> None:
    """Has a process of its own answer each request.

    At most `jobs` run at a time, fewer where memory is short: one more starts only where there is
    room for as much as the largest so far took. One that the system killed, which it does for
    memory, is tried again when no other runs.

    Args:
      requests: what a worker reads, see `worker`.
      done: called with a request's index and its reply, in the order they end.
      need: bytes the largest worker of earlier runs took; 0: not known.
      command: the worker's; the path for its reply is added.
    """
    need = need or FIRST_GUESS
    seen = 0
    waiting, again = deque(enumerate(requests)), []
    running: list[_Process] = []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            while waiting or running:
                while waiting and len(running) < jobs and (not running or _room(running, need)):
                    running.append(_Process(*waiting.popleft(), command, Path(scratch)))
                time.sleep(LOOK)
                for process in [p for p in running if p.ended]:
                    running.remove(process)
                    if process.killed and jobs > 1:
                        again.append(process.index)
                        continue
                    reply = process.reply()
                    seen = max(seen, reply.get("host_bytes", 0))
                    need = seen or need
                    done(process.index, reply)
        finally:
            for process in running:
                process.kill()
    if again:
        alone = [requests[index] for index in again]
        run(alone, 1, lambda i, reply: done(again[i], reply), need, command)


def _room(running: Sequence["_Process"], need: int) -> bool:
    """Whether a further worker fits beside what the running ones will still ask for."""
    free = free_memory()
    if free is None:
        return True
    promised = sum(max(0, need - resident_memory(process.pid)) for process in running)
    return free - promised >= need


class _Process:
    """A worker, its request on standard input."""

    def __init__(self, index: int, request: dict, command: Sequence[str], scratch: Path):
        self.index = index
        self._reply = scratch / f"{index}.json"
        self._errors = (scratch / f"{index}.err").open("w+", encoding="utf-8", errors="replace")
        with tempfile.TemporaryFile("w+") as stdin:
            json.dump(request, stdin)
            stdin.seek(0)
            self._process = subprocess.Popen(
                [*command, str(self._reply)],
                stdin=stdin,
                stdout=self._errors,
                stderr=self._errors,
                env=QUIET | os.environ,
            )
        self.pid = self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def killed(self) -> bool:
        return self._process.returncode == -signal.SIGKILL

    def reply(self) -> Reply:
        with self._errors as file:
            if self._reply.exists():
                return json.loads(self._reply.read_text("utf-8"))
            file.seek(0)
            said = file.read().strip().splitlines()
        if self.killed:
            return {"failed": "the compiler was killed, as the system does where memory runs out"}
        if self._process.returncode < 0:
            name = signal.Signals(-self._process.returncode).name
            return {"failed": f"the compiler crashed with {name}"}
        last = said[-1] if said else f"ended with status {self._process.returncode} and no word"
        return {"failed": f"the planner failed: {last}"}

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()
