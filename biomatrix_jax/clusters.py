"""Which processes run one program, where JAX does not find it in the environment by itself.

JAX reads TPU metadata, Slurm, Open MPI 4 and, with the `kubernetes` package, Kubernetes. Here is
what a JobSet's manifest says in variables, and which GPUs of a node are a task's own.
"""

from collections.abc import Mapping

from biomatrix_jax.errors import BadInput

PORT = "8476"  # of the coordinator, where nothing says which

# The first that is set counts. NNODES and NODE_RANK are those of GKE's recipes for GPUs.
_COUNT = ("JAX_NUM_PROCESSES", "JAX_PROCESS_COUNT", "NNODES", "OMPI_COMM_WORLD_SIZE")
_PROCESS = ("JAX_PROCESS_ID", "NODE_RANK", "OMPI_COMM_WORLD_RANK", "JOB_COMPLETION_INDEX")
_TPU = ("TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES", "MEGASCALE_COORDINATOR_ADDRESS")


def find_processes(environment: Mapping[str, str]) -> tuple[str, int, int] | None:
    """Coordinator (host:port), number of processes and which one this is; None: JAX may know.

    The coordinator is JAX_COORDINATOR_ADDRESS, or in a JobSet whose manifest sets JOBSET_NAME and
    REPLICATED_JOB_NAME the first pod of the first job, by the name that JobSet gives it; with
    JAX_COORDINATOR_PORT where the address has no port.

    Raises:
      BadInput: a number that is none, or a process beyond the count.
    """
    if any(name in environment for name in _TPU):
        return None
    host = environment.get("JAX_COORDINATOR_ADDRESS")
    if not host and {"JOBSET_NAME", "REPLICATED_JOB_NAME"} <= environment.keys():
        name = environment["JOBSET_NAME"]
        host = f"{name}-{environment['REPLICATED_JOB_NAME']}-0-0.{name}"
    count, process = _number(environment, _COUNT), _number(environment, _PROCESS)
    if not host or count is None or process is None:
        return None
    if not 0 <= process < count:
        raise BadInput(
            f"the environment says that this is process {process} of {count}: set one of "
            f"{', '.join(_PROCESS)} from 0 to {count - 1}"
        )
    port = environment.get("JAX_COORDINATOR_PORT", PORT)
    return host if ":" in host else f"{host}:{port}", count, process


def own_gpus(environment: Mapping[str, str]) -> list[int] | None:
    """A Slurm or Open MPI task's share of the GPUs that it sees, by their order; None: unknown.

    (Left to itself JAX takes one GPU for each task, however many there are.) Tasks of a node that
    see all of its GPUs divide them; GPUs that the scheduler bound to a task are all its own.

    Raises:
      BadInput: a node's GPUs do not divide among its tasks.
    """
    local = _number(environment, ("SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"))
    tasks = _number(environment, ("OMPI_COMM_WORLD_LOCAL_SIZE",))
    if "SLURM_LOCALID" in environment:
        nodes = _number(environment, ("SLURM_STEP_NUM_NODES", "SLURM_NNODES"))
        everywhere = _number(environment, ("SLURM_NTASKS",))
        even = everywhere and nodes and everywhere % nodes == 0
        tasks = everywhere // nodes if even else None
    on_node = _number(environment, ("SLURM_GPUS_ON_NODE",))
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    seen = on_node if visible is None else len([x for x in visible.split(",") if x])
    if local is None or not tasks or not seen or "JAX_LOCAL_DEVICE_IDS" in environment:
        return None
    if on_node and seen < on_node and seen * tasks <= on_node:
        return [*range(seen)]
    if seen % tasks:
        raise BadInput(
            f"the {seen} GPUs of a node do not divide among its {tasks} tasks: start a number of "
            "tasks that divides them, or bind GPUs to tasks (srun --gpus-per-task)"
        )
    share = seen // tasks
    return [*range(local * share, (local + 1) * share)]


def _number(environment: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        if text := environment.get(name):
            try:
                return int(text)
            except ValueError:
                raise BadInput(f"the variable {name} must be a number, not {text!r}") from None
    return None
