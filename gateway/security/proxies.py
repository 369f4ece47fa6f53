"""The client's address behind proxies, from ``X-Forwarded-For``.

Each proxy appends the address that it was called from, so only the right end of the header is known to be true: the
left end is whatever the client sent. The right-most address that is not one of the trusted proxies counts.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_FORWARDED_FOR = b"x-forwarded-for"
_Middleware = Callable[[Scope, Receive, Send], Awaitable[None]]


class TrustedProxies:
    """Replaces the client's address in the scope by the one that the trusted proxies name."""

    def __init__(self, app: ASGIApp, proxies: str) -> None:
        """
        Args:
            app: the application.
            proxies: addresses and networks, separated by commas; ``*`` trusts the peer of every connection.
        """
        self._trusts_every_peer = proxies.strip() == "*"
        # uvicorn finds the right-most address that is not trusted, but with ``*`` it takes the left-most one.
        self._middleware = cast("_Middleware", ProxyHeadersMiddleware(cast("Any", app), proxies))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._trusts_every_peer and scope["type"] == "http":
            scope["headers"] = _with_the_last_address(scope["headers"])
        await self._middleware(scope, receive, send)


def _with_the_last_address(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, with the right-most address of ``X-Forwarded-For`` alone."""
    addresses = [value for name, value in headers if name == _FORWARDED_FOR]
    if not addresses:
        return headers
    last = addresses[-1].rpartition(b",")[2].strip()
    return [(name, value) for name, value in headers if name != _FORWARDED_FOR] + [(_FORWARDED_FOR, last)]
