"""Processes as schedulers describe them; two real ones join over loopback in each environment."""

import http.server
import json
import os
import random
import socket
import subprocess
import sys
import threading

import pytest

from biomatrix_jax.clusters import find_processes, own_gpus
from biomatrix_jax.errors import BadInput
from tests.processes import free_port

JOIN = """
import json, os
import jax
if "GCE_METADATA_IP" in os.environ:  # JAX asks no such server where it finds no TPU chips
    os.environ.pop("TPU_SKIP_MDS_QUERY", None)
from biomatrix_jax.processes import join
join()
print("answer:" + json.dumps([jax.process_index(), jax.process_count(), jax.device_count()]))
"""


def join_all(environments):
    """What each process knows of all once it joined: its index, their number, their devices."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLURM", "OMPI", "TPU", "MEGASCALE", "JAX", "KUBERNETES", "JOB"))
    } | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-c", JOIN]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=clean | e, **pipes) for e in environments]
    try:
        outputs = [process.communicate(timeout=200) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, outputs, strict=True):
        assert process.returncode == 0, errors[-4000:]
    return [json.loads(out.rpartition("answer:")[2]) for out, _ in outputs]


def job_whose_port_is_free():
    """JAX takes a port by the number of a job, modulo 4096."""
    while True:
        job = random.randrange(4096)
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", 61440 + job))
            except OSError:
                continue
        return job


def test_slurm():
    common = {
        "SLURM_JOB_ID": str(4096 * 7 + job_whose_port_is_free()),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_NTASKS": "2",
    }
    tasks = [common | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in (0, 1)]
    assert join_all(tasks) == [[0, 2, 4], [1, 2, 4]]


@pytest.mark.slow
def test_open_mpi():
    common = {
        "OMPI_MCA_orte_hnp_uri": f"{4096 * job_whose_port_is_free()}.0;tcp://127.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    }
    ranks = [
        common | {"OMPI_COMM_WORLD_RANK": str(i), "OMPI_COMM_WORLD_LOCAL_RANK": str(i)}
        for i in (0, 1)
    ]
    assert join_all(ranks) == [[0, 2, 4], [1, 2, 4]]


@pytest.mark.slow
def test_gpus_in_a_jobset():
    """As GKE's recipes have it: every pod is told the address of the first."""
    common = {
        "JOBSET_NAME": "run",
        "REPLICATED_JOB_NAME": "gpu",
        "JAX_COORDINATOR_ADDRESS": "localhost",
        "JAX_COORDINATOR_PORT": str(free_port()),
        "NNODES": "2",
    }
    pods = [common | {"JOB_COMPLETION_INDEX": str(i)} for i in (0, 1)]
    assert join_all(pods) == [[0, 2, 4], [1, 2, 4]]


@pytest.mark.slow
def test_tpu_slices_in_a_jobset():
    """Two slices of one host each, as GKE says it in variables."""
    common = {
        "JAX_FORCE_TPU_INIT": "1",  # for there are no chips here
        "JAX_COORDINATOR_PORT": str(free_port()),
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_WORKER_ID": "0",
        "MEGASCALE_COORDINATOR_ADDRESS": "localhost",
        "MEGASCALE_NUM_SLICES": "2",
    }
    hosts = [common | {"MEGASCALE_SLICE_ID": str(i)} for i in (0, 1)]
    assert join_all(hosts) == [[0, 2, 4], [1, 2, 4]]


@pytest.mark.slow
def test_hosts_of_a_tpu_slice_that_ask_the_metadata_server():
    pytest.importorskip("requests")
    servers = [metadata_server(worker) for worker in (0, 1)]
    common = {"JAX_FORCE_TPU_INIT": "1", "JAX_COORDINATOR_PORT": str(free_port())}
    try:
        hosts = [
            common | {"GCE_METADATA_IP": f"127.0.0.1:{server.server_port}"} for server in servers
        ]
        assert join_all(hosts) == [[0, 2, 4], [1, 2, 4]]
    finally:
        for server in servers:
            server.shutdown()


def metadata_server(worker):
    """Of one host of two: its number, the addresses of all, and no word of other slices."""
    attributes = {
        "agent-worker-number": str(worker),
        "worker-network-endpoints": "a:0:127.0.0.1,b:1:127.0.0.1",
        "tpu-env": "ACCELERATOR_TYPE: 'v5litepod-8'\nWORKER_ID: '0'",
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = attributes.get(self.path.rpartition("/")[2])
            self.send_response(200 if content else 404)
            self.end_headers()
            self.wfile.write((content or "").encode())

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_the_first_pod_of_a_jobset_is_the_coordinator():
    """By the host name that JobSet gives it: <set>-<job>-<job index>-<pod index>.<set>."""
    pod = {"JOBSET_NAME": "run", "REPLICATED_JOB_NAME": "gpu", "NNODES": "4"}
    assert find_processes(pod | {"JOB_COMPLETION_INDEX": "3"}) == ("run-gpu-0-0.run:8476", 4, 3)
    ranked = pod | {"NODE_RANK": "1", "JOB_COMPLETION_INDEX": "0", "JAX_COORDINATOR_PORT": "6002"}
    assert find_processes(ranked) == ("run-gpu-0-0.run:6002", 4, 1)


def test_what_is_said_in_jax_variables():
    said = {"JAX_COORDINATOR_ADDRESS": "host:1", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}
    assert find_processes(said) == ("host:1", 2, 1)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"JOBSET_NAME": "run", "REPLICATED_JOB_NAME": "gpu", "JOB_COMPLETION_INDEX": "0"},
        {"NNODES": "2", "NODE_RANK": "0"},
        # A TPU's own variables say more, of slices.
        {
            "JAX_COORDINATOR_ADDRESS": "host",
            "NNODES": "2",
            "NODE_RANK": "0",
            "TPU_WORKER_HOSTNAMES": "a,b",
        },
    ],
)
def test_what_is_left_to_jax(environment):
    assert find_processes(environment) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"NNODES": "two"}, "the variable NNODES must be a number, not 'two'"),
        ({"NODE_RANK": "2"}, "process 2 of 2: .* from 0 to 1"),
        ({"NODE_RANK": "-1"}, "process -1 of 2"),
    ],
)
def test_variables_that_make_no_sense(change, message):
    said = {"JAX_COORDINATOR_ADDRESS": "host", "NNODES": "2", "NODE_RANK": "0"}
    with pytest.raises(BadInput, match=message):
        find_processes(said | change)


def slurm(tasks, nodes, local, **more):
    counts = {"SLURM_NTASKS": str(tasks), "SLURM_STEP_NUM_NODES": str(nodes)}
    return counts | {"SLURM_LOCALID": str(local)} | more


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (slurm(2, 2, 0, SLURM_GPUS_ON_NODE="8"), [0, 1, 2, 3, 4, 5, 6, 7]),
        (slurm(16, 2, 5, SLURM_GPUS_ON_NODE="8"), [5]),
        (slurm(4, 2, 1, CUDA_VISIBLE_DEVICES="0,1,2,3,4,5,6,7"), [4, 5, 6, 7]),
        # Bound to the task: it sees no others, and counts from 0.
        (slurm(16, 2, 5, SLURM_GPUS_ON_NODE="8", CUDA_VISIBLE_DEVICES="5"), [0]),
        # A part of the node's for all its tasks: each has its share of that.
        (slurm(4, 1, 1, SLURM_GPUS_ON_NODE="8", CUDA_VISIBLE_DEVICES="0,1,2,3"), [1]),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, None),
        (
            {
                "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
                "CUDA_VISIBLE_DEVICES": "0,1,2,3",
            },
            [2, 3],
        ),
        (slurm(3, 2, 0, SLURM_GPUS_ON_NODE="8"), None),  # who knows how many are here
        (slurm(2, 2, 0, SLURM_GPUS_ON_NODE="8", JAX_LOCAL_DEVICE_IDS="1"), None),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, None),
    ],
)
def test_a_tasks_gpus(environment, expected):
    assert own_gpus(environment) == expected


def test_gpus_that_do_not_divide():
    with pytest.raises(BadInput, match=r"the 8 GPUs of a node .* 3 tasks"):
        own_gpus(slurm(3, 1, 0, SLURM_GPUS_ON_NODE="8"))
