"""What this machine has for processes of ours: cores, and memory that is free now."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")  # of this process, as a container sees it


def cores() -> int:
    """Those this process may use, where the system tells; else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes that can be had without swapping, within a container's limit; None: nobody tells."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    fields = dict(line.split(":") for line in lines)
    free = int(fields["MemAvailable"].split()[0]) * 1024
    limit, used = _number(_CGROUP / "memory.max"), _number(_CGROUP / "memory.current")
    if limit is not None and used is not None:
        free = min(free, limit - used + _droppable())
    return free


def resident_memory(pid: int) -> int:
    """Bytes that a process holds now; 0 where nobody tells."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _droppable() -> int:
    """Bytes of files' pages that count as used until someone needs the room."""
    try:
        lines = (_CGROUP / "memory.stat").read_text("ascii").splitlines()
    except OSError:
        return 0
    return int(dict(line.split() for line in lines).get("inactive_file", 0))


def _number(path: Path) -> int | None:
    """What a file of the system says; None where it is not there or says "max"."""
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
