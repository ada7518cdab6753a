"""What lies beside a corpus, read once for all of its files, and again where it changed."""

import os
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

Found = TypeVar("Found")


def remembered(read: Callable[[str], Found]) -> Callable[[str], Found]:
    """`read`, a function of the path of a file or folder, which is called no more than it must.

    The last result is kept for as long as the time and the size of what is there stay the same. A
    folder's time changes with every file that comes or goes, not with what is in them.
    """

    @lru_cache(1)
    def of_state(path: str, state: tuple[int, int]) -> Found:
        return read(path)

    def now(path: str) -> Found:
        try:
            found = os.stat(path)
        except OSError:  # `read` says so in its own words
            return read(path)
        return of_state(path, (found.st_mtime_ns, found.st_size))

    return now
