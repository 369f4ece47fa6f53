"""The end of patience with clients that are slow on purpose, or send heads without an end."""

import asyncio
from collections import Counter
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

REQUEST_WITHIN = 15.0  # seconds from a request's first byte, or the connection, to its last byte
HEAD_BYTES = 64 * 1024
CONNECTIONS_EACH = 500
"""Of one address: what is left of the gateway's 2,000 is for everybody else."""
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's own, which waits for ever for a request that has begun, and keeps a head of any size."""

    _by_address: ClassVar[Counter[str]] = Counter()
    within = REQUEST_WITHIN

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._deadline: asyncio.TimerHandle | None = None
        self._head: int | None = 0
        """How much of the head has come; None once it is complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._by_address[self._address] += 1
        if self._by_address[self._address] > CONNECTIONS_EACH:
            transport.close()
            return
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._by_address[self._address] -= 1
        if not self._by_address[self._address]:
            del self._by_address[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and self._head > HEAD_BYTES:
            self._cut_off(_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = self._head or 0
        self._begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._end()
        self._head = 0
        super().on_message_complete()

    def _begin(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.within, self._cut_off, _TOO_SLOW)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut_off(self, answer: bytes) -> None:
        self._end()
        if not self.transport.is_closing():
            cycle = cast("RequestResponseCycle | None", self.cycle)
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self.transport.write(answer)
            self.transport.close()
