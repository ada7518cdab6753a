"""Tasks in processes of this machine."""

import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context

from biomatrix_jax.errors import BadInput
from data_pipeline.engine import Done, Engine, Work
from data_pipeline.tasks import Assigned


def local(workers: int) -> Engine:
    """An engine of so many processes; with one, the work is done in this process."""

    def run(work: Work, tasks: Sequence[Assigned], done: Done) -> None:
        if min(workers, len(tasks)) <= 1:
            for task in tasks:
                work(task)
                done(task)
            return
        _in_processes(work, tasks, done, min(workers, len(tasks)))

    return run


def _in_processes(work: Work, tasks: Sequence[Assigned], done: Done, workers: int) -> None:
    # Not by forking: JAX and RDKit have threads in this process.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _prepare)
    others = set(active_children())
    try:
        futures = {pool.submit(work, task): task for task in tasks}
        for future in as_completed(futures):
            future.result()
            done(futures[future])
    except BrokenProcessPool:
        raise BadInput(
            "a worker process died, likely for memory: use fewer --workers; what is done is kept"
        ) from None
    except (KeyboardInterrupt, SystemExit):
        for worker in set(active_children()) - others:  # else they would end their tasks first
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it all
    # An accelerator serves one process; composing molecules and proteins runs well without.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
