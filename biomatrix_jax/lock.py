"""One writer for a run's directory: a lock on a file in it, which the system drops when the process
that holds it ends, however it ends.

Over NFS the lock holds between machines where server and clients have locking (version 4, or
`lockd` of version 3); a machine that is gone keeps it until the server takes it back. Where a file
system has no locks, the run says so and goes on without.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from biomatrix_jax.errors import BadInput

FILE = "lock"
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextlib.contextmanager
def locked(directory: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of `directory` during the block, and makes the directory where there is none.

    A directory that was made goes again when the block leaves nothing in it.

    Args:
      say: takes a line for the user.

    Raises:
      BadInput: another process holds the lock; names it.
    """
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE
    handle = _hold(path, say)
    try:
        yield
    finally:
        gone = not directory.exists()  # the block may remove it, with what it did there
        if made and not gone and [entry.name for entry in directory.iterdir()] == [FILE]:
            path.unlink()
            for folder in made:
                with contextlib.suppress(OSError):  # somebody else put something there
                    folder.rmdir()
        os.close(handle)


def _hold(path: Path, say: Callable[[str], None]) -> int:
    import fcntl  # not on every system

    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise BadInput(
                f"{path.parent} is being written by {holder}: wait until it ends, or choose "
                "another place"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                os.close(handle)
                raise
            say(f"{path}: this file system has no locks: see that no other run writes there")
            return handle
        if _is(handle, path):
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return handle
        os.close(handle)  # its holder removed it just before


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
