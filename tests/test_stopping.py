import os
import signal
import subprocess
import sys
import threading

import pytest

from biomatrix_jax.stopping import Stopped, stop_on_signal, unless_told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_heard_and_the_second_acts_as_before(number):
    class Before(Exception):
        pass

    def act(*_):
        raise Before

    before = signal.signal(number, act)
    try:
        with stop_on_signal() as stop:
            assert not stop()
            signal.raise_signal(number)
            assert stop()
            with pytest.raises(Before):
                signal.raise_signal(number)
        assert signal.getsignal(number) is act
    finally:
        signal.signal(number, before)


def test_within_another_it_is_the_same_told_or_not():
    with stop_on_signal() as outer:
        with stop_on_signal() as inner:
            assert inner is outer
        signal.raise_signal(signal.SIGTERM)
        with stop_on_signal() as inner:
            assert inner()


def test_other_threads_leave_signals_alone():
    handler = signal.getsignal(signal.SIGTERM)
    seen = []

    def look():
        with stop_on_signal() as stop:
            seen.append((stop(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(False, handler)]


def test_work_gives_its_result_or_its_error():
    with stop_on_signal() as stop:
        assert unless_told(stop, lambda: 3) == 3
        assert not stop.abandoned
        with pytest.raises(ZeroDivisionError):
            unless_told(stop, lambda: 1 / 0)


def test_a_signal_ends_the_wait_for_work():
    release = threading.Event()
    with stop_on_signal() as stop:
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        with pytest.raises(Stopped):
            unless_told(stop, release.wait)
        assert stop.abandoned
    release.set()


def test_what_decides_about_signals_is_imported_at_once():
    """The command takes the signals over before it imports JAX, which takes seconds."""
    script = "import sys, biomatrix_jax.stopping; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
