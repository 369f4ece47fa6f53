"""Requests that are made before the clock runs and sent over kept connections, so that the gateway is measured."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from tests.processes import ARIZE_SECRET
from worker.cli_send import signed


def request(alert: dict[str, Any], event_id: str, port: int) -> bytes:
    """A signed delivery as the bytes that go over the wire."""
    body = json.dumps(alert).encode()
    headers = {**signed(body, ARIZE_SECRET, event_id), "Host": f"127.0.0.1:{port}", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /webhooks/arize HTTP/1.1\r\n{head}\r\n".encode() + body


class Connection:
    """One kept connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, content: bytes) -> dict[str, Any]:
        """Send one request and read its answer. Raises RuntimeError where it is not 202."""
        self._writer.write(content)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        body = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(f"{head[:40]!r} {body[:300]!r}")
        return json.loads(body)

    def close(self) -> None:
        self._writer.close()


async def pour(requests: Sequence[bytes], port: int, connections: int) -> None:
    """Send them all over so many connections."""
    remaining = iter(requests)

    async def one() -> None:
        connection = await Connection.open(port)
        for content in remaining:
            await connection.send(content)
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
