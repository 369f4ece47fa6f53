"""Ports for the processes that a test starts."""

import os
import socket
from itertools import count

_FIRST, _PORTS_PER_WORKER = 20_000, 1_000
"""Below 32768, from where Linux assigns the ports of outgoing connections: none of those may occupy a port between the
moment a test chooses it and the moment a process binds it. Each xdist worker has a range of its own."""
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_numbers = count(os.getpid() % _PORTS_PER_WORKER)


def unused_port() -> int:
    """A port that nothing listens on, and that no other test of this run is given soon."""
    for _ in range(_PORTS_PER_WORKER):
        port = _FIRST + _PORTS_PER_WORKER * (_worker % 12) + next(_numbers) % _PORTS_PER_WORKER
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is unused")
