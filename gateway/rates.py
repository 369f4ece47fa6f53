"""How often one source may ask: so that nobody's storm is everybody's, and guessing at secrets costs the guesser.

Who is authentic is never refused for what somebody else does from the same address: a proxy may stand before both.
"""

import math
import time
from dataclasses import dataclass
from typing import Literal

from fastapi import Request
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from gateway.problems import Problem

Kind = Literal["webhooks", "api", "refused"]


@dataclass(frozen=True)
class Rates:
    """As ``300000/minute``: of authentic webhooks, of calls with one API token, and of refusals, each by its source."""

    webhooks: str = "300000/minute"
    api: str = "6000/minute"
    refused: str = "300/minute"

    def __post_init__(self) -> None:
        for name in ("webhooks", "api", "refused"):
            try:
                parse(getattr(self, name))
            except ValueError:
                raise RateError(f"the rate {getattr(self, name)!r} is not one: 6000/minute, or 100/second") from None


class RateError(ValueError):
    """A rate cannot be read."""


class Limiter:
    def __init__(self, rates: Rates) -> None:
        self._items: dict[Kind, RateLimitItem] = {
            "webhooks": parse(rates.webhooks),
            "api": parse(rates.api),
            "refused": parse(rates.refused),
        }
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def spend(self, kind: Kind, source: str) -> None:
        """Count one. Raises Problem 429, with the seconds until it may be tried again, where it is one too many."""
        item = self._items[kind]
        if await self._limiter.hit(item, kind, source):
            return
        until = (await self._limiter.get_window_stats(item, kind, source)).reset_time
        wait = max(math.ceil(until - time.time()), 1)
        raise Problem(429, f"{source} asks too often: at most {item}", headers={"Retry-After": str(wait)})


def source(request: Request) -> str:
    """The sender's address: behind a proxy that FORWARDED_ALLOW_IPS names, what that says it is."""
    return request.client.host if request.client else "unknown"
