"""A TCP proxy between a client and a server: its connections can be cut, and the server's responses dropped."""

import asyncio
import contextlib
from typing import Literal


class TcpProxy:
    """An asynchronous context manager. ``address`` is where the client connects to."""

    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._state: Literal["open", "cut", "one-way"] = "open"
        self._open: set[asyncio.StreamWriter] = set()
        self._port = 0
        self.address = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "TcpProxy":
        await self.restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def cut(self) -> None:
        """Stop listening, and reset the open connections."""
        self._state = "cut"
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            with contextlib.suppress(OSError):
                writer.transport.abort()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def restore(self) -> None:
        """Forward everything again, on the same port."""
        self._state = "open"
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]
            self.address = f"127.0.0.1:{self._port}"

    def drop_responses(self) -> None:
        """From now on the client's requests reach the server, and the server's responses do not reach the client."""
        self._state = "one-way"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        self._open |= {writer, server_writer}
        try:
            await asyncio.gather(
                self._forward(reader, server_writer), self._forward(server_reader, writer, responses=True)
            )
        finally:
            self._open -= {writer, server_writer}

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, responses: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while content := await reader.read(65_536):
                if not (responses and self._state == "one-way"):
                    writer.write(content)
                    await writer.drain()
            writer.close()
