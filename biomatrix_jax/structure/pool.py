"""Work on many items in several processes: in order, and nothing lost where one of them dies."""

import itertools
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Generic, TypeVar

from biomatrix_jax.errors import BadInput

AHEAD = 4  # batches in the queue for each worker
MOST_DEATHS = 10  # in a row: then it is not the items

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Sequence[Result]]


class WorkerDied(BadInput):
    """The process that worked on an item ended: the item crashed a library, or memory ran out."""


def in_order(
    work: Work, items: Iterable[Item], workers: int, batch: int
) -> Iterator[tuple[Item, Result | WorkerDied]]:
    """`work` of all items, in batches, each item with its result in the order of the items.

    Where a process dies, the batches that were under way are done again, the one that kills
    item by item, so that a single result is lost, and said to be.

    Args:
      work: a function at the top of a module, of a batch to as many results.
      workers: processes; with one the work is done in this process, and a crash ends it.

    Raises:
      BadInput: processes die one after the other, whatever they work on.
    """
    items = iter(items)
    batches = iter(lambda: list(itertools.islice(items, batch)), [])
    if workers == 1:
        for some in batches:
            yield from zip(some, work(some), strict=True)
        return
    crew = _Crew(work, workers)
    try:
        for some in batches:
            crew.take(some)
            if crew.waiting > AHEAD * workers:
                yield from crew.finish_first()
        while crew.waiting:
            yield from crew.finish_first()
    finally:
        crew.dismiss()


class _Crew(Generic[Item, Result]):
    """Worker processes, replaced when one dies, and the batches that they have been given."""

    def __init__(self, work: Work, workers: int):
        self._work = work
        self._workers = workers
        self._queue: deque[tuple[list[Item], Future]] = deque()
        self._pool: ProcessPoolExecutor | None = None
        self._deaths = 0  # since a batch was last finished

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def take(self, some: list[Item]) -> None:
        self._queue.append((some, self._submit(some)))

    def finish_first(self) -> Iterator[tuple[Item, Result | WorkerDied]]:
        """The first batch with its results; where a process died, all batches that were taken."""
        some, future = self._queue.popleft()
        try:
            yield from zip(some, future.result(), strict=True)
        except BrokenProcessPool:
            # Any batch may be to blame. With nothing else under way, each shows what it does.
            suspects = [some, *(batch for batch, _ in self._queue)]
            self._queue.clear()
            self.dismiss()
            for suspect in suspects:
                yield from self._finish_alone(suspect)

    def dismiss(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _finish_alone(self, some: list[Item]) -> Iterator[tuple[Item, Result | WorkerDied]]:
        if self._deaths == MOST_DEATHS:
            raise BadInput(
                f"{MOST_DEATHS} worker processes died one after the other, likely for memory: use "
                "fewer --workers"
            )
        try:
            results = self._submit(some).result()
            self._deaths = 0
        except BrokenProcessPool:
            self._deaths += 1
            self.dismiss()
            if len(some) > 1:
                for item in some:
                    yield from self._finish_alone([item])
                return
            results = [WorkerDied("the process that worked on it died: a crash, or no memory left")]
        yield from zip(some, results, strict=True)

    def _submit(self, some: list[Item]) -> Future:
        if self._pool is None:
            # Not by forking: JAX has threads in this process.
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, context, _ignore_interrupts)
        try:
            return self._pool.submit(self._work, some)
        except BrokenProcessPool as error:  # known to be broken already, as all that wait will be
            future: Future = Future()
            future.set_exception(error)
            return future


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it all
