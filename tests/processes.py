"""Several JAX processes over loopback, each with simulated devices of its own."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from typing import Any

START = """
import json, sys
import jax
jax.distributed.initialize("127.0.0.1:{port}", {count}, {process})
def answer(content):
    print("answer:" + json.dumps(content))
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run(script: str, count: int, devices: int, timeout: float = 300) -> list[Any]:
    """Runs `script` in `count` processes of `devices` each, joined by jax.distributed.

    Returns:
      What each process gave to `answer`, a function the script finds defined.
    """
    port = free_port()
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                START.format(port=port, count=count, process=process) + textwrap.dedent(script),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(count)
    ]
    try:
        outputs = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    wrong = [
        f"process {number} ended with {process.returncode}: {errors[-2000:]}"
        for number, (process, (_, errors)) in enumerate(zip(processes, outputs, strict=True))
        if process.returncode
    ]
    assert not wrong, "\n".join(wrong)
    lines = [out.rpartition("answer:")[2].splitlines()[0] for out, _ in outputs]
    return [json.loads(line) for line in lines]
