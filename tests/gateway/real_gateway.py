"""A real ``tocsin gateway`` without Temporal, and requests as bytes, which no HTTP client would send."""

import json
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.processes import Tocsin
from tests.waiting import SLOW_MACHINE

POLICY = """
version: 1
destinations: {term: {type: console}}
tiers: {critical: {steps: [{notify: [term]}]}, high: {steps: [{notify: [term]}]}, low: {digest: [term]}}
rules:
  - {name: all, when: 'alert.metric == "error_rate"', tier: high}
"""
TEMPORAL_NOWHERE = "127.0.0.1:9"


class RealGateway:
    """One process. What needs Temporal is answered 503, or goes to the spool."""

    def __init__(self, folder: Path, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "policy.yaml").write_text(POLICY)
        environment = {"TEMPORAL_ADDRESS": TEMPORAL_NOWHERE, **settings}
        self.tocsin = Tocsin(folder, folder / "policy.yaml", 1.0, **environment)
        self.state = folder / "state"
        self.tokens = folder / "tokens"

    @property
    def memory(self) -> int:
        """Bytes that the process has resident."""
        assert self.tocsin.process is not None
        return psutil.Process(self.tocsin.process.pid).memory_info().rss

    def logged(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.tocsin.printed().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.tocsin.port), SLOW_MACHINE)

    def raw(self, request: bytes) -> tuple[int, bytes]:
        """Send bytes, and read one answer: its status, 0 if the connection is closed without one; and all of it."""
        with self.connect() as connection:
            connection.settimeout(SLOW_MACHINE)
            received = b""
            try:
                connection.sendall(request)
                received = _read_answer(connection)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return (int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.1 ") else 0), received


def _read_answer(connection: socket.socket) -> bytes:
    """The head and the body of one answer, or whatever comes until the connection is closed."""
    received = b""
    while chunk := connection.recv(65_536):
        received = (received + chunk).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        head, complete, body = received.partition(b"\r\n\r\n")
        if not complete:
            continue
        lines = [line.partition(b":") for line in head.lower().split(b"\r\n")[1:]]
        length = next((int(value) for name, _, value in lines if name == b"content-length"), None)
        if length is not None and len(body) >= length:
            break
    return received


@contextmanager
def running_gateway(folder: Path, **settings: str) -> Generator[RealGateway]:
    gateway = RealGateway(folder, **settings)
    gateway.tocsin.start("gateway")
    try:
        yield gateway
    finally:
        gateway.tocsin.stop()
        gateway.tocsin.http.close()
