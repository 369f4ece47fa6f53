"""Limits for clients that send slowly on purpose, or send headers without an end."""

import asyncio
from collections import Counter
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.security.rates import address_block

REQUEST_TIMEOUT = 15.0  # seconds from a request's first byte, or the connection, to the request's last byte
MAX_HEADER_BYTES = 64 * 1024
"""The request line, all headers and, after a chunked body, all trailers."""
MAX_CONNECTIONS_PER_ADDRESS = 500
"""The rest of the gateway's 2,000 connections remains for other clients."""
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class SlowClientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which by itself waits without limit for a request to end, and buffers headers of any size."""

    request_timeout: ClassVar[float] = REQUEST_TIMEOUT
    max_connections: ClassVar[int] = MAX_CONNECTIONS_PER_ADDRESS
    _connections: ClassVar[Counter[str]] = Counter()
    """By block of addresses."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes: int | None = 0
        """How much of the headers has arrived; None once they are complete."""
        self._parsed_bytes = 0
        """How much of the request line, headers and trailers the parser has delivered. One read may hold more than the
        limit, and the whole request."""
        self._refused = False
        """The connection is being closed: whatever the parser still delivers is dropped."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = address_block(self.client[0]) if self.client else ""
        self._connections[self._address] += 1
        if self._connections[self._address] > self.max_connections:
            transport.close()
            return
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        self._connections[self._address] -= 1
        if not self._connections[self._address]:
            del self._connections[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._header_bytes is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._header_bytes is not None and self._header_bytes > MAX_HEADER_BYTES:
            self._refuse_headers()

    def on_message_begin(self) -> None:
        if self._refused:
            return
        super().on_message_begin()
        self._header_bytes = self._header_bytes or 0
        self._parsed_bytes = 0
        self._start_deadline()

    def on_url(self, url: bytes) -> None:
        if self._fits(len(url)):
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        is_trailer = self._header_bytes is None
        # uvicorn would add a trailer to the request's headers, also one that a proxy did not see as a header.
        if self._fits(len(name) + len(value) + len(b": \r\n")) and not is_trailer:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._header_bytes = None
        if not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._cancel_deadline()
        self._header_bytes = 0
        super().on_message_complete()

    def _should_upgrade(self) -> bool:
        """The gateway serves no WebSockets.

        uvicorn would hand the connection to another protocol, which has none of these limits, and would never report
        its end here, so that it would count as open for ever.
        """
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """The request is answered as one without an upgrade: no reason for two log lines."""

    def _fits(self, size: int) -> bool:
        """Count bytes of the request line, headers or trailers. False once they are too many, and all is dropped."""
        self._parsed_bytes += size
        if self._parsed_bytes > MAX_HEADER_BYTES and not self._refused:
            self._refuse_headers()
        return not self._refused

    def _refuse_headers(self) -> None:
        self._refused = True
        self._cut_off(_TOO_LARGE)

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.request_timeout, self._cut_off, _TIMED_OUT)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut_off(self, response: bytes) -> None:
        self._refused = True
        self._cancel_deadline()
        if not self.transport.is_closing():
            cycle = cast("RequestResponseCycle | None", self.cycle)
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self.transport.write(response)
            self.transport.close()
