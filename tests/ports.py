"""Ports for the processes that a test starts."""

import os
import socket
from itertools import count

_FIRST, _SHARE = 20_000, 1_000
"""Below 32768, where Linux takes the ports of outgoing connections from: one of those must not hold a port between
the moment it is given out and the moment a process binds it. Each xdist worker has a share of its own."""
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_numbers = count(os.getpid() % _SHARE)


def unused_port() -> int:
    """One that nothing listens at, and that no other test in this run is given soon."""
    for _ in range(_SHARE):
        port = _FIRST + _SHARE * (_worker % 12) + next(_numbers) % _SHARE
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is unused")
