"""Being told to stop: SIGTERM, as before a preemption, and SIGINT."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
LISTEN = 0.1  # seconds between looks at whether to stop


class Stopped(Exception):
    """It was told to stop before the work was done."""


class Stop:
    """Whether a signal came. A second one acts as it did before this was made.

    Attributes:
      abandoned: there is a thread at work that nobody waits for. Foreign code in it does not bear
        that Python ends around it: end the process by `leave`.
    """

    def __init__(self):
        self.abandoned = False
        self._told = threading.Event()
        self._before: dict[int, object] = {}

    def __call__(self) -> bool:
        return self._told.is_set()

    def _hear(self, number, frame) -> None:
        if self._told.is_set():
            signal.signal(number, self._before[number])
            signal.raise_signal(number)
        self._told.set()


@contextlib.contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Takes over the signals for the block. Within another such block it is that one's `Stop`."""
    handler = signal.getsignal(signal.SIGTERM)
    if isinstance(getattr(handler, "__self__", None), Stop):
        yield handler.__self__
        return
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may say what signals do
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        stop._before[number] = signal.signal(number, stop._hear)
    try:
        yield stop
    finally:
        for number, before in stop._before.items():
            signal.signal(number, before)


def unless_told(stop: Stop, work: Callable[[], T]) -> T:
    """What `work` returns; it runs in a thread, so that a signal is heard while it is in foreign
    code, as a compiler.

    Raises:
      Stopped: `stop` came first. The thread is abandoned.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="work", daemon=True)
    thread.start()
    while thread.is_alive() and not stop():
        thread.join(LISTEN)
    if failure:
        raise failure[0]
    if not result:
        stop.abandoned = True
        raise Stopped
    return result[0]


def leave(status: int) -> None:
    """Ends the process at once, without what Python and JAX do at exit."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(status)
