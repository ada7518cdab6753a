import os
import signal
from collections.abc import Sequence

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure import pool
from biomatrix_jax.structure.pool import WorkerDied, in_order


def square(numbers: Sequence[int]) -> list[int]:
    """The squares; a negative number kills the process."""
    if any(number < 0 for number in numbers):
        os.kill(os.getpid(), signal.SIGKILL)
    return [number**2 for number in numbers]


def refuse(numbers: Sequence[int]) -> list[int]:
    raise BadInput(f"{numbers[0]} is refused")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_order(workers):
    expected = [(number, number**2) for number in range(23)]
    assert list(in_order(square, range(23), workers, batch=3)) == expected
    assert list(in_order(square, [], workers, batch=3)) == []


def test_only_the_items_that_kill_a_process_are_lost():
    numbers = [*range(10), -1, *range(10, 20), -2]
    results = list(in_order(square, numbers, 2, batch=4))
    assert [number for number, _ in results] == numbers
    for number, result in results:
        if number < 0:
            assert isinstance(result, WorkerDied)
        else:
            assert result == number**2


def test_processes_that_die_whatever_they_do_end_the_work(monkeypatch):
    monkeypatch.setattr(pool, "MOST_DEATHS", 2)
    with pytest.raises(BadInput, match="2 worker processes died one after the other"):
        list(in_order(square, [-1, -2, -3, -4], 2, batch=1))


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_of_the_work_itself_are_raised(workers):
    with pytest.raises(BadInput, match=r"^7 is refused$"):
        list(in_order(refuse, [7, 8], workers, batch=1))


def test_items_are_not_read_far_ahead():
    read = []

    def numbers():
        for number in range(1000):
            read.append(number)
            yield number

    results = in_order(square, numbers(), 2, batch=1)
    next(results)
    assert len(read) <= 2 * pool.AHEAD + 2
    results.close()
