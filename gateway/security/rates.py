"""Rate limits by source, so that no sender takes the capacity of the others, and guessing secrets is slow.

Refusals have a limit of their own: authentic requests are never limited because of other requests from the same
address, since both may come through one proxy.
"""

import math
import time
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Literal

from fastapi import Request
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from alerts import TocsinError
from gateway.problems import Problem

RateKind = Literal["webhooks", "api", "refused"]


class RateError(TocsinError):
    """A rate has no valid form."""

    code = "invalid_rate"


@dataclass(frozen=True)
class Rates:
    """The limit of each source, such as ``300000/minute``."""

    webhooks: str = "300000/minute"
    """Authentic webhooks of an address."""
    api: str = "6000/minute"
    """Requests with an API token."""
    refused: str = "300/minute"
    """Requests of an address that are answered 401 or 500."""

    def __post_init__(self) -> None:
        """Raises RateError."""
        for rate in (self.webhooks, self.api, self.refused):
            try:
                parse(rate)
            except ValueError:
                raise RateError(f"{rate!r} is not a rate: write 6000/minute or 100/second") from None


class RateLimiter:
    """Counts requests in fixed windows, in memory."""

    def __init__(self, rates: Rates) -> None:
        self._items: dict[RateKind, RateLimitItem] = {
            "webhooks": parse(rates.webhooks),
            "api": parse(rates.api),
            "refused": parse(rates.refused),
        }
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def spend(self, kind: RateKind, source: str) -> None:
        """Count one request.

        Raises:
            Problem: 429 over the limit, with the seconds until the next window in Retry-After.
        """
        item = self._items[kind]
        if await self._limiter.hit(item, kind, source):
            return
        until = (await self._limiter.get_window_stats(item, kind, source)).reset_time
        wait = max(math.ceil(until - time.time()), 1)
        detail = f"too many requests of {source}: at most {item}"
        raise Problem(429, detail, code="rate_limited", headers={"Retry-After": str(wait)})


def client_address(request: Request) -> str:
    """The client's address; behind a proxy of FORWARDED_ALLOW_IPS, the one that the proxy names.

    It is the right-most address of ``X-Forwarded-For`` that is not such a proxy: what stands left of it came from the
    client. ``gateway.security.proxies`` has read it.
    """
    return address_block(request.client.host) if request.client else "unknown"


def address_block(host: str) -> str:
    """What one client has: an IPv4 address, or the 64-bit prefix of an IPv6 one, of which it can use every address.

    Text that is no address, which only a proxy can have sent, is one source together.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
