"""A wire between a client and a server, on real sockets, that can be cut, mended, and made to lose the answers."""

import asyncio
import contextlib
from typing import Literal


class Wire:
    """Use it as a context manager; ``address`` is what the client connects to."""

    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._state: Literal["whole", "cut", "deaf"] = "whole"
        self._open: set[asyncio.StreamWriter] = set()
        self._port = 0
        self.address = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Wire":
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def cut(self) -> None:
        """Nobody listens any more, and what was open is reset."""
        self._state = "cut"
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            with contextlib.suppress(OSError):
                writer.transport.abort()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def mend(self) -> None:
        self._state = "whole"
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]
            self.address = f"127.0.0.1:{self._port}"

    def lose_answers(self) -> None:
        """From now on what the client asks arrives, and what the server answers does not."""
        self._state = "deaf"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(*self._target)
        self._open |= {writer, forth}
        try:
            await asyncio.gather(self._pass(reader, forth), self._pass(back, writer, answers=True))
        finally:
            self._open -= {writer, forth}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with contextlib.suppress(OSError):
            while content := await reader.read(65_536):
                if not (answers and self._state == "deaf"):
                    writer.write(content)
                    await writer.drain()
            writer.close()
