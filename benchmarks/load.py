"""Requests that are built in advance and sent over open connections, so that only the gateway is measured."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from cli.send import signed
from tests.processes import ARIZE_SECRET


def request(alert: dict[str, Any], event_id: str, port: int) -> bytes:
    """A signed webhook request, as bytes."""
    body = json.dumps(alert).encode()
    headers = {**signed(body, ARIZE_SECRET, event_id), "Host": f"127.0.0.1:{port}", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /webhooks/arize HTTP/1.1\r\n{head}\r\n".encode() + body


class Connection:
    """An open connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, content: bytes) -> dict[str, Any]:
        """Send one request, and return its response. Raises RuntimeError if that is not 202."""
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
    """Send all requests over a number of connections."""
    remaining = iter(requests)

    async def sender() -> None:
        connection = await Connection.open(port)
        for content in remaining:
            await connection.send(content)
        connection.close()

    await asyncio.gather(*(sender() for _ in range(connections)))
