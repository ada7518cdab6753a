"""What the processes of one JAX program do together."""

import hashlib
import json
import os
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from biomatrix_jax import clusters
from biomatrix_jax.errors import BadInput

HEARTBEAT = 30  # seconds of silence after which the runtime takes a process for dead


def join(
    coordinator: str | None = None,
    count: int | None = None,
    process: int | None = None,
) -> None:
    """Makes this process one of several that run the same program. Call it before JAX starts.

    Args:
      coordinator: host:port of process 0, which all can reach; None, like the others: all three
        are found in the environment of a TPU pod, Slurm, Open MPI or a JobSet.
      count: of all processes.
      process: which one this is, from 0.

    Raises:
      BadInput: only some of the three are given; none are, and the environment does not say.
    """
    given = [value is not None for value in (coordinator, count, process)]
    if any(given) and not all(given):
        raise BadInput("give all of --coordinator, --processes and --process-id, or none of them")
    if all(given) and not 0 <= process < count:
        raise BadInput(f"--process-id {process} must be from 0 to {count - 1}, below --processes")
    gpus = None
    if not any(given):
        coordinator, count, process = clusters.find_processes(os.environ) or (None,) * 3
        gpus = clusters.own_gpus(os.environ)
    # SIGTERM is ours to hear, see `stopping`.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            count,
            process,
            gpus,
            # All being said, a scheduler's variables would only hide GPUs.
            cluster_detection_method="deactivate" if coordinator else None,
            heartbeat_timeout_seconds=HEARTBEAT,
        )
    except ValueError as error:
        raise BadInput(
            f"the environment does not say which processes there are ({error}): give "
            "--coordinator, --processes and --process-id"
        ) from None


def is_first() -> bool:
    """Whether this is the process that writes what all share."""
    return jax.process_index() == 0


def any_process(flag: bool) -> bool:
    """Whether `flag` is true in any process; all get the same answer, and must all ask."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.array(flag)).any())


def check_alike(what: str, value: Any) -> None:
    """Raises BadInput, in every process, where they do not all have the same.

    Args:
      what: the value is, for the message.
      value: plain data.
    """
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    text = json.dumps(value, sort_keys=True)
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    every = multihost_utils.process_allgather(digest)
    if others := [i for i, other in enumerate(every) if (other != every[0]).any()]:
        raise BadInput(
            f"process {others[0]} sees another {what} than process 0: all must see the same files "
            "and be started alike; where a file system is slow to show new files, start again"
        )


def is_first_with(value: int) -> bool:
    """Whether no process before this one has the same value; all must ask."""
    if jax.process_count() == 1:
        return True
    from jax.experimental import multihost_utils

    every = multihost_utils.process_allgather(np.array(value)).tolist()
    return every.index(value) == jax.process_index()


class Total:
    """The sum of every process's numbers, asked for by all after every step without waiting.

    It is summed up on the devices, in order after the step that was started before, so that it is
    there as soon as that step's metrics.
    """

    def __init__(self):
        if jax.process_count() > 1:
            devices = jax.devices()
            # CPU devices run programs side by side, and what these send gets mixed up.
            self._in_turn = devices[0].platform != "cpu"
            # All of them: a TPU's compiler does not sum over any few devices of a slice.
            mesh = Mesh(np.array(devices), ("device",))
            self._numbers = NamedSharding(mesh, PartitionSpec("device"))
            whole = NamedSharding(mesh, PartitionSpec())
            self._sum = jax.jit(partial(jnp.sum, axis=0), out_shardings=whole)

    def __call__(self, numbers: np.ndarray, after: Any) -> np.ndarray | jax.Array:
        """The sum, which may still be in the making; all must ask, with the same shape.

        Args:
          numbers: int32, as small as their sum.
          after: arrays that the step before it makes.
        """
        if jax.process_count() == 1:
            return numbers
        if not self._in_turn:
            jax.block_until_ready(after)
        own = np.zeros((jax.local_device_count(), *numbers.shape), np.int32)
        own[0] = numbers
        every = (jax.device_count(), *numbers.shape)
        total = self._sum(jax.make_array_from_process_local_data(self._numbers, own, every))
        if not self._in_turn:
            total.block_until_ready()
        return total


class Vote:
    """Whether any process wants something, asked by all after every step without waiting.

    The answer to a question is given at the next one; see `Total`.
    """

    def __init__(self):
        self._total = Total()
        self._asked: jax.Array | None = None

    def __call__(self, flag: bool, after: Any) -> bool:
        """Whether `flag` was true in any process at the last call; with one process, whether it is
        true now. All get the same answer, and must all call.

        Args:
          after: arrays that the step before it makes.
        """
        if jax.process_count() == 1:
            return flag
        before, self._asked = self._asked, self._total(np.array(flag, np.int32), after)
        return before is not None and bool(before)


def barrier(name: str) -> None:
    """Returns when every process has come here; at once where there is only one."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)
