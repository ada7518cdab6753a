"""How the processes of one run learn at once that one of them died or gave up.

The runtime notices by heartbeats that stay away, half a minute later, and collectives wait for ever
meanwhile. So process 0 holds a connection to each of the others. The system closes it when a
process dies, however it dies; and a process that gives up says why over it first. Process 0 hands
the news on, and whoever hears it says so in one line and ends itself.

What goes over a connection: JSON objects, one a line.

    {"process": 3, "token": "..."}     the first from each of the others
    {"over": "why", "status": 2}       the run is over
    {"done": true}                     this end comes to its end in good order
"""

import atexit
import contextlib
import json
import os
import secrets
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterator

from biomatrix_jax.errors import BadInput
from biomatrix_jax.stopping import leave

KEY = "biomatrix/lifeline"
GREETING = 1000  # bytes that a connection may send before it says who it is
CONNECT = 20  # seconds within which a connection must come about
# Seconds for news to get through, before a process ends or believes it was its own fault.
PARTING = 2
# A machine that is gone closes nothing: the system asks after 10 s of silence, 4 times.
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}


@contextlib.contextmanager
def shared_fate() -> Iterator[None]:
    """In the block, the end of any process of this program is the end of all.

    To be entered by all of them, after `processes.join`. Where one dies, or leaves the block by an
    exception, the others print a line that says which and why, and end: with status 2 after
    `BadInput`, else with 1. With one process nothing happens here.
    """
    import jax

    if jax.process_count() == 1:
        yield
        return
    line = _Lifeline(jax.process_index(), jax.process_count())
    try:
        yield
    except BaseException as error:
        if not isinstance(error, BadInput | KeyboardInterrupt | SystemExit):
            # Perhaps only since another one died: then its news is on the way, and ends this one.
            time.sleep(2 * PARTING)
        status = 2 if isinstance(error, BadInput) else 1
        text = " ".join(str(error).split()) or type(error).__name__
        line.tell(f"process {line.process} of {line.count} gave up: {text}", status)
        # Without the runtime's own farewell, which waits for processes that are ending.
        atexit.register(leave, status)
        raise
    line.close()


class _Lifeline:
    """The connections of this process and the thread that listens to them."""

    def __init__(self, process: int, count: int):
        self.process, self.count = process, count
        self._peers: dict[socket.socket, int] = {}  # their processes
        self._buffers: dict[socket.socket, bytes] = {}
        self._token = ""
        self._closing = False
        self._selector = selectors.DefaultSelector()
        if process == 0:
            self._serve()
        else:
            self._connect()
        threading.Thread(target=self._listen, name="lifeline", daemon=True).start()

    def tell(self, why: str, status: int) -> None:
        """Lets the others know that the run is over.

        Process 0 gives them time to hear it: the runtime's service lives here, and the others are
        to learn of the cause, not of its end.
        """
        self._closing = True
        self._send({"over": why, "status": status})
        deadline = time.monotonic() + PARTING
        while self.process == 0 and self._peers and time.monotonic() < deadline:
            time.sleep(0.02)  # the listener forgets each one that ended

    def close(self) -> None:
        self._closing = True
        self._send({"done": True})

    def _serve(self) -> None:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        server = socket.create_server(("", 0), family=family, dualstack_ipv6=both)
        self._token = secrets.token_hex(16)
        self._selector.register(server, selectors.EVENT_READ, "server")
        client, _ = _runtime()
        client.key_value_set(KEY, f"{server.getsockname()[1]} {self._token}")

    def _connect(self) -> None:
        client, host = _runtime()
        port, token = client.blocking_key_value_get(KEY, CONNECT * 1000).split()
        try:
            connection = socket.create_connection((host, int(port)), CONNECT)
        except OSError as error:
            note = f"process {self.process} of {self.count}: no connection to process 0 at "
            note += f"{host}:{port} ({error}): a process that dies is noticed by heartbeats only"
            print(note, file=sys.stderr, flush=True)
            return
        connection.settimeout(None)
        self._add(connection, 0)
        self._send({"process": self.process, "token": token})

    def _add(self, connection: socket.socket, process: int | None) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if process is not None:
            self._peers[connection] = process
        self._buffers[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ)

    def _send(self, content: dict) -> None:
        for peer in list(self._peers):
            with contextlib.suppress(OSError):  # gone: the listener hears it
                peer.sendall(json.dumps(content).encode() + b"\n")

    def _listen(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data == "server":
                    with contextlib.suppress(OSError):  # gone again
                        self._add(key.fileobj.accept()[0], None)
                else:
                    self._receive(key.fileobj)

    def _receive(self, connection: socket.socket) -> None:
        try:
            received = connection.recv(4096)
        except OSError:
            received = b""
        if not received:
            self._lost(connection)
            return
        *lines, self._buffers[connection] = (self._buffers[connection] + received).split(b"\n")
        try:
            for line in lines:
                if connection in self._buffers:
                    self._hear(connection, json.loads(line))
        except (ValueError, AttributeError, KeyError):  # nobody of ours
            self._lost(connection)
            return
        unknown = connection in self._buffers and connection not in self._peers
        if unknown and len(self._buffers[connection]) > GREETING:
            self._lost(connection)

    def _hear(self, connection: socket.socket, content: dict) -> None:
        if connection not in self._peers:
            if content.get("token") == self._token:
                self._peers[connection] = content["process"]
            return
        if "over" in content and not self._closing:
            self._end(content["over"], content["status"])
        if "done" in content:
            self._forget(connection)

    def _lost(self, connection: socket.socket) -> None:
        process = self._peers.get(connection)
        self._forget(connection)
        if process is not None and not self._closing:
            self._end(f"process {process} of {self.count} died", 1)

    def _forget(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        self._peers.pop(connection, None)
        self._buffers.pop(connection)
        connection.close()

    def _end(self, why: str, status: int) -> None:
        self._closing = True
        line = f"biomatrix: {why}: the run stops; start it again to resume\n"
        os.write(2, line.encode())
        if self.process != 0:
            leave(status)

        def part() -> None:
            self.tell(why, status)
            leave(status)

        # Beside the listener, which hears the others go meanwhile.
        threading.Thread(target=part, daemon=True).start()


def _runtime():
    """(the client of the runtime's key-value store, the host of process 0).

    JAX has no public way to either.
    """
    from jax._src import distributed

    state = distributed.global_state
    return state.client, state.coordinator_address.rpartition(":")[0].strip("[]")
